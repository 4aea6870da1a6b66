// Loading's options, and the one tensor that TypeScript computes from.
import type { HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import { openReader } from './open-reader.js';
import type { ReadOptions } from './read-weights.js';

export interface LoadOptions extends ReadOptions {
  /** Keep the embedding on the device, where passes can begin with tokens that only the device knows. Default: with the host. */
  readonly tableOnDevice?: boolean | undefined;
  /** Called while kernels are compiled, after the weights, where the backend compiles any. */
  readonly onKernels?: ((compiled: number, total: number) => void) | undefined;
}

/** A small F32 tensor as numbers, for what TypeScript computes from (rope_freqs). */
export async function readFloats(gguf: GgufModel, tensor: TensorInfo): Promise<Float32Array> {
  if (tensor.type !== 'F32' || tensor.bytes > 1 << 20) {
    const received = `${tensor.type}, ${tensor.bytes} bytes`;
    throw new NtxError(
      'bad-file',
      `tensor ${tensor.name}: expected at most 1 MiB of F32, got ${received}`,
      'convert it again',
    );
  }
  const bytes = new Uint8Array(tensor.bytes);
  const view = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const memory: HostMemory = { bytes: tensor.bytes, label: tensor.name, view, free: () => {} };
  const reader = await openReader([gguf.files[tensor.file].path]);
  try {
    await reader.read({ file: 0, offset: tensor.offset, bytes: tensor.bytes, memory, at: 0 });
  } finally {
    await reader.close();
  }
  return new Float32Array(bytes.buffer);
}
