// The one file that loads the `webgpu` package (Dawn for Node): lazily, since it brings a native library of 20 MB and more.
import { NtxError } from '../../errors.js';

/**
 * What create() returned, for as long as devices of it live. If one is garbage collected before its device is destroyed, the
 * process dies later, far from the cause; while one is referenced and has a device, the process does not end.
 */
const open = new Set<GPU>();

/**
 * A Dawn instance. `flags` are `backend=<name>`, `adapter=<name>`, `enable-dawn-features=<toggle>,...` and
 * `disable-dawn-features=...`. Give it to closeGpu() when its devices are destroyed. Throws NtxError('no-backend').
 */
export async function openGpu(flags: readonly string[]): Promise<GPU> {
  const { create } = await import('webgpu').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NtxError(
      'no-backend',
      `the webgpu package does not load here: ${reason}`,
      'it has binaries for Linux and Windows (x64, arm64) and macOS: run "npm install" again, or choose --backend cpu',
      { cause: error },
    );
  });
  const gpu = create([...flags]);
  open.add(gpu);
  return gpu;
}

export function closeGpu(gpu: GPU): void {
  open.delete(gpu);
}
