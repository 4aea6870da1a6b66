import { NtxError } from '../errors.js';
import { attachModel } from './attach.js';
import { MAP_ENDING } from './model-map.js';
import { Kernel } from './sysfs.js';
import { takeDrive } from './take.js';

/** The drive of a map (LoadModelOptions). */
export interface DriveChoice {
  readonly nvme?: string | undefined;
  readonly unsafeNoIommu?: boolean | undefined;
}

/**
 * Makes a map's path one that models are loaded from, until `close`: takes the drive at a PCI address (from the kernel where it
 * has it, which needs root; it gets it back then) and checks that the model still lies there.
 */
export async function modelFromDrive(
  mapPath: string,
  address: string,
  unsafeNoIommu = false,
): Promise<{ close(): Promise<void> }> {
  if (!mapPath.endsWith(MAP_ENDING)) {
    const message = `from a drive, ntx reads what a map names, and ${mapPath} does not end in ${MAP_ENDING}`;
    throw new NtxError(
      'bad-argument',
      message,
      `make the map while the file system is mounted: ntx nvme map ${mapPath}`,
    );
  }
  const taken = await takeDrive(new Kernel(), address, unsafeNoIommu);
  try {
    const model = await attachModel(mapPath, taken.source);
    return {
      close: async () => {
        try {
          await model.detach();
        } finally {
          await taken.giveBack();
        }
      },
    };
  } catch (error) {
    await taken.giveBack();
    throw error;
  }
}
