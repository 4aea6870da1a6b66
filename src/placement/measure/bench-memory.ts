// Memory that probes compute on.
import type { Backend, DeviceMemory, DeviceRange, HostMemory } from '../../backend/backend.js';
import { NtxError } from '../../errors.js';

const PIECE_BYTES = 1 << 20;

/**
 * Harmless as weights of any type: 0x30 to 0x3f make floats (f32, f16, bf16) between 1e-10 and 2, so that no product meets
 * a denormal number or a NaN, which some processors are slow with.
 */
function harmlessBytes(): Uint8Array {
  const piece = new Uint8Array(PIECE_BYTES);
  // xorshift32: the content matters to no kernel, but equal bytes could be compressed on their way.
  let state = 0x9e3779b9;
  for (let i = 0; i < piece.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    piece[i] = 0x30 + (state & 0xf);
  }
  return piece;
}

/** With less than this nothing can be measured. */
const LEAST_BYTES = 1 << 20;

/**
 * What `use` makes of `bytes`, of half of them and so on: a device that other programs have most of is measured as well as it
 * can be. Throws NtxError('no-memory') where not even 1 MiB is left.
 */
export async function withRoom<T>(bytes: number, use: (bytes: number) => T | Promise<T>): Promise<T> {
  for (let size = bytes; ; size /= 2) {
    try {
      return await use(size);
    } catch (error) {
      const isFull = error instanceof NtxError && error.code === 'no-memory';
      if (!isFull || size / 2 < LEAST_BYTES) throw error;
    }
  }
}

/** Device memory full of weights, whatever type they are taken for: `bytes`, or less where there is less. */
export async function allocateWeights(backend: Backend, bytes: number): Promise<DeviceMemory> {
  const memory = await withRoom(bytes, (size) => backend.allocateDevice(size, 'weights to measure with'));
  const piece = harmlessBytes();
  if (isHost(memory)) {
    fillHost(memory, piece);
    return memory;
  }
  const staging = backend.allocateHost(Math.min(memory.bytes, PIECE_BYTES), 'staging to measure with');
  try {
    fillHost(staging, piece);
    for (let at = 0; at < memory.bytes; at += staging.bytes) {
      const part = Math.min(staging.bytes, memory.bytes - at);
      const to: DeviceRange = { memory, offset: at, bytes: part };
      await backend.wait(backend.copy({ memory: staging, offset: 0, bytes: part }, to));
      await staging.map?.();
    }
  } finally {
    staging.free();
  }
  return memory;
}

function fillHost(memory: HostMemory, piece: Uint8Array): void {
  for (let at = 0; at < memory.bytes; at += piece.length) {
    const part = Math.min(piece.length, memory.bytes - at);
    memory.view(at, part).set(piece.subarray(0, part));
  }
}

function isHost(memory: DeviceMemory): memory is HostMemory {
  return 'view' in memory;
}
