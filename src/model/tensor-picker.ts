import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';

const ADVICE = 'the file is damaged, or holds a variant of the architecture that ntx does not know';

/** Takes tensors out of a file by name and shape, and knows at the end which were not taken. */
export class TensorPicker {
  /** Norms and biases that were taken. */
  readonly vectors: TensorInfo[] = [];
  private readonly taken = new Set<string>();

  constructor(private readonly gguf: GgufModel) {}

  has(name: string): boolean {
    return this.gguf.tensors.has(name);
  }

  /** A weight matrix of `rows` rows of `cols` weights. */
  matrix(name: string, rows: number, cols: number): TensorInfo {
    return this.take(name, [cols, rows]);
  }

  /** An F32 vector; returns its name, as ops use it. */
  vector(name: string, length: number): string {
    const tensor = this.take(name, [length]);
    if (tensor.type !== 'F32') {
      throw new NtxError('unsupported', `tensor ${name}: expected F32 for a norm or bias, got ${tensor.type}`, ADVICE);
    }
    this.vectors.push(tensor);
    return name;
  }

  bias(name: string, length: number, rule: 'required' | 'optional' | 'none'): string | null {
    if (rule === 'none' || (rule === 'optional' && !this.has(name))) return null;
    return this.vector(name, length);
  }

  /** A tensor that nothing read would mean a model that computes something else than what we run. */
  refuseLeftovers(architecture: string): void {
    for (const name of this.gguf.tensors.keys()) {
      // Rotation tables, which some converters stored: rope.ts makes its own or has read them.
      if (this.taken.has(name) || /(^|\.)(rope_freqs|attn_rot_embd)(\.weight)?$/.test(name)) continue;
      throw new NtxError('unsupported', `tensor ${name} is not part of ${architecture} as ntx knows it`, ADVICE);
    }
  }

  private take(name: string, shape: readonly number[]): TensorInfo {
    const tensor = this.gguf.tensors.get(name);
    if (!tensor) throw new NtxError('bad-file', `tensor ${name} is missing`, ADVICE);
    const trimmed = tensor.shape.filter((size, dimension) => dimension < shape.length || size !== 1);
    if (trimmed.length !== shape.length || trimmed.some((size, dimension) => size !== shape[dimension])) {
      const received = tensor.shape.join(' x ');
      throw new NtxError('bad-file', `tensor ${name}: expected shape ${shape.join(' x ')}, got ${received}`, ADVICE);
    }
    this.taken.add(name);
    return tensor;
  }
}
