import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { NtxError } from '../errors.js';
import { openGguf } from '../gguf/open.js';
import type { GgufModel } from '../gguf/types.js';
import { loadVfioAddon } from './binding.js';
import { usableExtents } from './file-extents.js';
import { hashOf, type MappedExtent, type MappedFile, type ModelMap, samplePlaces } from './model-map.js';
import { type DriveEntry, type Kernel, listDrives, type Namespace } from './sysfs.js';

/** What FIEMAP calls physical is a byte of the block device there; on others (btrfs, ZFS, overlays) it is not. */
const FILE_SYSTEMS = ['ext2', 'ext3', 'ext4', 'xfs'];

interface Place {
  readonly drive: DriveEntry;
  readonly namespace: Namespace;
  /** Of the partition on the namespace. */
  readonly start: number;
}

/**
 * Records where a model lies on its drive, while its file system is mounted.
 * @throws NtxError `unsupported` where the files lie so that a drive cannot be read without their file system
 */
export async function mapModel(kernel: Kernel, path: string): Promise<ModelMap> {
  const gguf = await openGguf(path);
  const places = await Promise.all(gguf.files.map((file) => placeOf(kernel, file.path)));
  const [{ drive, namespace }] = places;
  const elsewhere = places.findIndex((place) => place.namespace.name !== namespace.name);
  if (elsewhere > 0) {
    const message = `the shards of ${path} lie on several drives: ${namespace.name}, ${places[elsewhere].namespace.name}`;
    throw new NtxError('unsupported', message, 'copy all shards to one drive');
  }
  const files: MappedFile[] = [];
  for (const [i] of gguf.files.entries()) files.push(await mapFile(gguf, i, places[i].start));
  const about = { serial: drive.serial ?? '', model: drive.model ?? '', namespace: namespace.id };
  return { ntxmap: 1, made: new Date().toISOString(), drive: about, files };
}

async function mapFile(gguf: GgufModel, index: number, start: number): Promise<MappedFile> {
  const { path, bytes } = gguf.files[index];
  const flat = loadVfioAddon().fileExtents(path);
  const found = Array.from({ length: flat.length / 4 }, (_, i) => {
    const [offset, device, length, flags] = flat.subarray(i * 4, i * 4 + 4);
    return { offset, device, bytes: length, flags };
  });
  const usable = usableExtents(path, bytes, found);
  const offsets = [...gguf.tensors.values()].filter(({ file }) => file === index).map(({ offset }) => offset);
  const headerBytes = offsets.reduce((least, offset) => Math.min(least, offset), bytes);
  const handle = await open(path, 'r');
  try {
    const headerHash = hashOf(await bytesAt(handle, 0, headerBytes));
    const extents: MappedExtent[] = [];
    for (const { offset, device, bytes: length } of usable) {
      const pieces: Uint8Array[] = [];
      for (const place of samplePlaces({ offset, bytes: length })) {
        pieces.push(await bytesAt(handle, place.offset, place.bytes));
      }
      extents.push({ offset, drive: start + device, bytes: length, samples: hashOf(Buffer.concat(pieces)) });
    }
    return { name: basename(path), bytes, headerBytes, headerHash, extents };
  } finally {
    await handle.close();
  }
}

async function bytesAt(handle: FileHandle, offset: number, bytes: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, offset);
  if (bytesRead === bytes) return buffer;
  throw new NtxError('io', `a file of the model became shorter while it was mapped`, 'map it when nobody writes it');
}

/** The drive under a file. Throws NtxError('unsupported') where that is no NVMe drive's own partition. */
async function placeOf(kernel: Kernel, path: string): Promise<Place> {
  const { dev } = await stat(path);
  // The device number of the C library: glibc's makedev.
  const number = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const mount = (kernel.text('/proc/self/mountinfo') ?? '').split('\n').map((line) => line.split(' '));
  const type = mount.filter((fields) => fields[2] === number).map((fields) => fields[fields.indexOf('-') + 1])[0];
  if (type !== undefined && !FILE_SYSTEMS.includes(type)) {
    const advice = `copy the model to one of ${FILE_SYSTEMS.join(', ')}, or read it as a file`;
    throw new NtxError('unsupported', `${path} lies on ${type}, which does not tell where on the drive`, advice);
  }
  const name = /^DEVNAME=(.*)$/m.exec(kernel.text(`/sys/dev/block/${number}/uevent`) ?? '')?.[1];
  for (const drive of listDrives(kernel)) {
    for (const namespace of drive.namespaces) {
      const device = [namespace, ...namespace.partitions].find((one) => one.name === name);
      if (device) return { drive, namespace, start: device.start };
    }
  }
  throw new NtxError(
    'unsupported',
    `${path} lies on ${name ?? `device ${number}`}, which is no NVMe drive or partition of one`,
    'copy the model to a file system directly on an NVMe drive (not LVM, MD, dm-crypt), or read it as a file',
  );
}
