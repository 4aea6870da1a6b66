// Models that are read from drives which this process drives by itself. What is attached here is opened by its map's path
// like any file: src/open-model.ts and src/streaming/open-reader.ts ask here first.
import { NtxError } from '../errors.js';
import { parseHeaders } from '../gguf/open.js';
import type { GgufModel } from '../gguf/types.js';
import type { DriveOptions, SimSource, VfioSource } from './binding.js';
import { NvmeDrive } from './drive.js';
import { hashOf, type MappedFile, type ModelMap, readModelMap, runsOf, samplePlaces } from './model-map.js';

export interface AttachedModel {
  readonly gguf: GgufModel;
  readonly map: ModelMap;
  readonly drive: NvmeDrive;
  /** After all readers are closed. */
  detach(): Promise<void>;
}

const attached = new Map<string, AttachedModel>();

/** By a map's path, or that of one of its files (GgufModel.files). */
export function attachedModel(path: string): AttachedModel | undefined {
  return attached.get(path) ?? [...attached.values()].find(({ gguf }) => gguf.files.some((file) => file.path === path));
}

/** The drive and size of an attached model's file; undefined for files of file systems. */
export function attachedFile(path: string): { drive: string; bytes: number } | undefined {
  const model = attachedModel(path);
  const file = model?.gguf.files.find((one) => one.path === path);
  return model && file && { drive: `drive ${model.map.drive.serial}`, bytes: file.bytes };
}

/**
 * Opens the drive of a map, checks that it is the one and that the model still lies there, and makes `mapPath` a path that
 * models are loaded from, until detach().
 * @throws NtxError `io` (the drive fails, or holds something else now), `bad-file` (the map)
 */
export async function attachModel(
  mapPath: string,
  source: VfioSource | SimSource,
  options: Omit<DriveOptions, 'namespace'> = {},
  onLost?: (reason: string) => void,
): Promise<AttachedModel> {
  if (attached.has(mapPath))
    throw new NtxError('bad-argument', `${mapPath} is in use already`, 'use it once at a time');
  const map = await readModelMap(mapPath);
  const drive = await NvmeDrive.open(source, { ...options, namespace: map.drive.namespace }, onLost);
  try {
    checkDrive(map, drive, mapPath);
    const headers: Uint8Array[] = [];
    for (const file of map.files) headers.push(await checkedHeader(drive, file));
    const gguf = parseHeaders(
      map.files.map(({ name, bytes }, i) => ({ path: `${mapPath}:${name}`, bytes, header: headers[i] })),
    );
    const detach = () => {
      attached.delete(mapPath);
      return drive.close();
    };
    const model = { gguf, map, drive, detach };
    attached.set(mapPath, model);
    return model;
  } catch (error) {
    await drive.close();
    throw error;
  }
}

function checkDrive(map: ModelMap, drive: NvmeDrive, mapPath: string): void {
  const { serial, bytes } = drive.info;
  if (serial !== map.drive.serial) {
    throw new NtxError(
      'io',
      `${mapPath} is of the drive with serial number ${map.drive.serial}, and ${drive.name} has ${serial}`,
      'name the other drive (`ntx nvme list`), or map the model again',
    );
  }
  // Fragmented files have more extents than a call takes arguments.
  const ends = map.files.flatMap(({ extents }) => extents.map((extent) => extent.drive + extent.bytes));
  const end = ends.reduce((a, b) => Math.max(a, b), 0);
  if (end > bytes) {
    const message = `${mapPath} names byte ${end}, and ${drive.name} has ${bytes} bytes`;
    throw new NtxError('io', message, 'the drive was formatted anew: map the model again');
  }
}

/** The header, after it and every sample have been compared with the map. */
async function checkedHeader(drive: NvmeDrive, file: MappedFile): Promise<Uint8Array> {
  const header = new Uint8Array(file.headerBytes);
  await drive.read(header, runsOf(file, 0, header.length));
  if (hashOf(header) !== file.headerHash) throw changed(drive, file, 'its header');
  const samples = file.extents.map((extent) => {
    const places = samplePlaces(extent);
    let at = 0;
    const runs = places.flatMap((place) => {
      const shifted = runsOf(file, place.offset, place.bytes).map((run) => ({ ...run, at: at + run.at }));
      at += place.bytes;
      return shifted;
    });
    return { extent, runs, view: new Uint8Array(at) };
  });
  await Promise.all(samples.map(({ runs, view }) => drive.read(view, runs)));
  for (const { extent, view } of samples) {
    if (hashOf(view) !== extent.samples) throw changed(drive, file, `the part at byte ${extent.offset}`);
  }
  return header;
}

function changed(drive: NvmeDrive, file: MappedFile, part: string): NtxError {
  return new NtxError(
    'io',
    `${file.name} is not where its map says: ${part} is other bytes on ${drive.name} now`,
    'the drive was written to since: mount it and map the model again (ntx nvme map)',
  );
}
