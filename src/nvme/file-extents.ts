// Which extents of a file system can be read from the drive without it.
import { NtxError } from '../errors.js';

/** Bytes of a file on its block device; `flags` are FIEMAP_EXTENT_* of linux/fiemap.h. */
export interface FileExtent {
  readonly offset: number;
  readonly device: number;
  readonly bytes: number;
  readonly flags: number;
}

/** What makes an extent's place on the device not hold the file's bytes as they are, and what to do. */
const OBSTACLES: readonly (readonly [flag: number, what: string, advice: string])[] = [
  [0x0002, 'has no known place on the drive', 'copy the file anew (cp) and run sync'],
  [0x0004, 'has not been written to the drive yet (delayed allocation)', 'run sync, then try again'],
  [
    0x0008,
    'is encoded (compressed or encrypted) by the file system',
    'copy it to a folder without compression and encryption',
  ],
  [0x0080, 'is encrypted by the file system', 'copy it to a folder without encryption'],
  [0x0100, 'lies at no whole block of the drive', 'copy the file to ext4 or XFS'],
  [
    0x0200,
    "lies inside of the file system's own records (inline data)",
    'the file is too small to be worth it: read it as a file',
  ],
  [0x0400, "shares a block with another file's end (tail packing)", 'copy the file to ext4 or XFS'],
  [0x0800, 'is allocated and was never written: it reads as zeros', 'copy the file anew (cp)'],
];

/**
 * Checks that extents cover a file without holes and hold its bytes as they are, and cuts the last at the file's end.
 * Neighbours that lie together on the device become one. Throws NtxError('unsupported') with what to do.
 */
export function usableExtents(
  path: string,
  bytes: number,
  extents: readonly FileExtent[],
): Omit<FileExtent, 'flags'>[] {
  const joined: { offset: number; device: number; bytes: number }[] = [];
  let next = 0;
  for (const extent of extents) {
    if (extent.offset >= bytes) break;
    const refuse = (what: string, advice: string) =>
      new NtxError('unsupported', `${path}: the part at byte ${next} ${what}`, advice);
    if (extent.offset > next) throw refuse('is a hole: it has no place on the drive', 'copy it: cp --sparse=never');
    const obstacle = OBSTACLES.find(([flag]) => (extent.flags & flag) !== 0);
    if (obstacle) throw refuse(obstacle[1], obstacle[2]);
    const length = Math.min(extent.bytes, bytes - extent.offset);
    const last = joined.at(-1);
    if (last && last.device + last.bytes === extent.device) last.bytes += length;
    else joined.push({ offset: extent.offset, device: extent.device, bytes: length });
    next = extent.offset + length;
  }
  if (next < bytes) {
    const advice = 'copy it: cp --sparse=never';
    throw new NtxError(
      'unsupported',
      `${path}: the part at byte ${next} is a hole: it has no place on the drive`,
      advice,
    );
  }
  return joined;
}
