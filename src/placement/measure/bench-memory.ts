// Memory that probes compute on.
import type { Backend, DeviceMemory, DeviceRange, HostMemory } from '../../backend/backend.js';

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

/** Device memory full of weights, whatever type they are taken for. Throws NtxError('no-memory'). */
export async function allocateWeights(backend: Backend, bytes: number): Promise<DeviceMemory> {
  const memory = backend.allocateDevice(bytes, 'weights to measure with');
  const piece = harmlessBytes();
  if (isHost(memory)) {
    fillHost(memory, piece);
    return memory;
  }
  const staging = backend.allocateHost(Math.min(bytes, PIECE_BYTES), 'staging to measure with');
  try {
    fillHost(staging, piece);
    for (let at = 0; at < bytes; at += staging.bytes) {
      const part = Math.min(staging.bytes, bytes - at);
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
