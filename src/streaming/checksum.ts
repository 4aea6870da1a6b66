// Checksums of weights in host memory, for --verify: XXH3 of 64 bits, computed by the host addon off the main thread.
import { BUILD_ADDONS } from '../addon.js';
import type { HostRange } from '../backend/backend.js';
import { loadHostAddon } from '../backend/cpu/binding.js';
import { NtxError } from '../errors.js';

/** Hashed each on its own, so that several threads share a unit; part of what the checksum is. */
const PIECE_BYTES = 8 << 20;

/**
 * The checksum of a range's bytes: the XXH3 of the XXH3s of its pieces of 8 MiB. The same wherever the bytes lie. The range is
 * neither written to nor unmapped meanwhile. Throws NtxError('unsupported') where the addon is not built.
 */
export async function checksum({ memory, offset, bytes }: HostRange): Promise<bigint> {
  const { addon } = loadHostAddon();
  if (addon === null) {
    const advice = `${BUILD_ADDONS}, or leave the check out`;
    throw new NtxError('unsupported', 'checksums need the host addon, which is not there', advice);
  }
  const pieces: Promise<bigint>[] = [];
  for (let done = 0; done < bytes; done += PIECE_BYTES) {
    pieces.push(addon.checksum(memory.view(offset + done, Math.min(PIECE_BYTES, bytes - done))));
  }
  const sums = BigUint64Array.from(await Promise.all(pieces)); // little-endian, as every machine that Node runs on here is
  return addon.checksum(new Uint8Array(sums.buffer));
}
