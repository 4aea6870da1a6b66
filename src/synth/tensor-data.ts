import { type GgmlType, TYPES, typeBytes } from '../gguf/types.js';
import type { TensorSpec } from '../gguf/write.js';
import { fillFloats, randomBlocks } from './blocks.js';
import { Random } from './random.js';
import type { Shape } from './shapes.js';

/** Random blocks are made once per type and row length, up to this many bytes, and written again and again. */
const POOL_BYTES = 32 << 20;
/** Bytes of one write. */
const PIECE_BYTES = 16 << 20;

/** Makes the bytes of each tensor of a model. */
export class RandomTensors {
  private readonly pools = new Map<string, Uint8Array>();

  constructor(
    private readonly shape: Shape,
    private readonly tensors: readonly TensorSpec[],
    private readonly seed: number,
  ) {}

  /** Pieces that add up to the tensor's bytes; they stay as they are. */
  *pieces(tensor: TensorSpec): Generator<Uint8Array> {
    if (tensor.shape.length === 1) yield this.vector(tensor);
    else yield* this.matrix(tensor);
  }

  /** Norms are near 1, biases near 0; the rope factors are Llama 3.1's own. */
  private vector({ name, shape: [length] }: TensorSpec): Uint8Array {
    const random = new Random(this.seed, name);
    const bytes = new Uint8Array(length * 4);
    const near = (centre: number) => () => centre + 0.2 * (random.unit() - 0.5);
    if (name === 'rope_freqs.weight') fillFloats('F32', bytes, ropeFactor(this.shape));
    else fillFloats('F32', bytes, near(name.endsWith('.bias') ? 0 : 1));
    return bytes;
  }

  /** The pool from a random block on, around its end as often as needed. */
  private *matrix({ name, type, shape: [cols, rows] }: TensorSpec): Generator<Uint8Array> {
    const pool = this.pool(type, cols);
    const { blockBytes } = TYPES[type];
    let at = new Random(this.seed, name).below(pool.length / blockBytes) * blockBytes;
    let left = typeBytes(type, cols * rows);
    while (left > 0) {
      const piece = pool.subarray(at, Math.min(at + Math.min(left, PIECE_BYTES), pool.length));
      yield piece;
      left -= piece.length;
      at = (at + piece.length) % pool.length;
    }
  }

  /** Blocks for matrices of a type with rows of `cols` weights, of standard deviation 1 / sqrt(cols). */
  private pool(type: GgmlType, cols: number): Uint8Array {
    const key = `${type} ${cols}`;
    let pool = this.pools.get(key);
    if (!pool) {
      pool = randomBlocks(type, this.poolBlocks(type, cols), 1 / Math.sqrt(cols), new Random(this.seed, key));
      this.pools.set(key, pool);
    }
    return pool;
  }

  /**
   * As many blocks as the largest such matrix has, up to the pool's limit. A pool that is repeated has no divisor in common
   * with a row's blocks: then row r begins at another block of the pool for every r, and no two rows are equal (two equal
   * rows of the output head would give equal logits).
   */
  private poolBlocks(type: GgmlType, cols: number): number {
    const rowBlocks = cols / TYPES[type].blockWeights;
    const alike = this.tensors.filter((tensor) => tensor.type === type && tensor.shape[0] === cols);
    const needed = Math.max(...alike.map((tensor) => (tensor.shape[1] ?? 1) * rowBlocks));
    let blocks = Math.floor(POOL_BYTES / TYPES[type].blockBytes);
    if (needed <= blocks) return needed;
    while (greatestCommonDivisor(blocks, rowBlocks) !== 1) blocks--;
    return blocks;
  }
}

/**
 * Llama 3.1's frequency divisors (its model card's rope_scaling: low_freq_factor 1, high_freq_factor 4, 8192 positions of
 * original context): 1 for pairs that turn fast, the factor for slow ones, and a ramp between.
 */
function ropeFactor({ ropeBase, headDim, ropeFactor: factor = 1 }: Shape): (pair: number) => number {
  return (pair) => {
    const turns = (8192 * ropeBase ** ((-2 * pair) / headDim)) / (2 * Math.PI);
    if (turns > 4) return 1;
    if (turns < 1) return factor;
    const smooth = (turns - 1) / 3;
    return 1 / ((1 - smooth) / factor + smooth);
  };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
