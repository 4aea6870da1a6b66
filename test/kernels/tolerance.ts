// How far a backend may be from the reference: |x - ref| <= limit, per value, from the case's own numbers. Limits follow
// from where roundings happen; a constant would be too wide for one case and too narrow for the next. Where an op reads
// what an earlier one wrote, the earlier limits go in as errors of its input.
import type {
  AttentionOp,
  EmbedOp,
  GatedMatmulOp,
  MatmulOp,
  Op,
  RmsNormOp,
  RopeKvWriteOp,
  TopKOp,
} from '../../src/backend/ops.js';
import { outputBytes } from '../../src/backend/outputs.js';
import { f16ToNumber } from '../../src/backend/reference/f16.js';
import type { GgmlType } from '../../src/gguf/types.js';
import { QUANTS } from './blocks.js';
import type { Pass, Setup } from './case.js';
import { isQuant, type TestWeight } from './weights.js';

/** How a backend computes, where backends differ by design. */
export interface Precision {
  /**
   * Activations that share one scale when a product with weights of this type rounds them to 8 bits (32 for the blocks of
   * 32, 256 for the K types, usually); 0 where it does not round.
   */
  activationBlock(type: GgmlType): 0 | 32 | 256;
}

/** Rounds activations to 8 bits for every quantised type, in the blocks of the type: what the cpu backend does. */
export const EIGHT_BIT: Precision = {
  activationBlock: (type) => (isQuant(type) ? QUANTS[type].weights : 0),
};

/** Contents of every buffer. */
export type State = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

export interface Limits {
  /** By buffer, one an element; 0: the same bits, infinite: anything (nobody reads it). */
  readonly values: Map<string, Float64Array>;
  /** By buffer: the standard deviation that rounding the activations to nearest gives, 0 where nothing is rounded. */
  readonly deviations: Map<string, Float64Array>;
}

/** One op of one pass, as the reference ran it. */
export interface Ran<T extends Op = Op> {
  readonly op: T;
  readonly setup: Setup;
  readonly pass: Pass;
  readonly before: State;
  readonly after: State;
  readonly precision: Precision;
}

/** Unit roundoff of f32: the relative error of one rounding to nearest. */
const U = 2 ** -24;
/** Results this small may be flushed to zero on the way: GPUs need not keep denormal numbers. */
const TINY = 1e-34;

/**
 * Relative error of a sum of n f32 products in any order, against the sum of their magnitudes. Roundings are independent
 * enough to grow like sqrt(n) rather than n (Higham and Mary, SIAM J. Sci. Comput. 41, 2019), with 4 as their lambda.
 */
function sumError(n: number): number {
  return 4 * Math.sqrt(n + 4) * U;
}

/** Sets in `limits` what the op has written. */
export function addLimits(ran: Ran, limits: Limits): void {
  switch (ran.op.kind) {
    case 'embed':
      embedLimits(ran as Ran<EmbedOp>, limits);
      break;
    case 'rms-norm':
      rmsNormLimits(ran as Ran<RmsNormOp>, limits);
      break;
    case 'matmul':
      matmulLimits(ran as Ran<MatmulOp>, limits);
      break;
    case 'gated-matmul':
      gatedMatmulLimits(ran as Ran<GatedMatmulOp>, limits);
      break;
    case 'rope-kv-write':
      ropeKvWriteLimits(ran as Ran<RopeKvWriteOp>, limits);
      break;
    case 'attention':
      attentionLimits(ran as Ran<AttentionOp>, limits);
      break;
    case 'top-k':
      topKLimits(ran as Ran<TopKOp>, limits);
  }
}

function floatsOf(state: State, name: string): Float32Array {
  return new Float32Array(state.get(name)!.buffer);
}

function halvesOf(state: State, name: string): Uint16Array {
  return new Uint16Array(state.get(name)!.buffer);
}

/** Decoding multiplies and subtracts in f32 (three roundings at most); floats are exact. */
function embedLimits({ op, setup, pass }: Ran<EmbedOp>, limits: Limits): void {
  const { type, cols, magnitudes } = setup.weights[op.table];
  const limit = limits.values.get(op.out)!;
  pass.rows.forEach(({ token }, r) => {
    for (let i = 0; i < cols; i++)
      limit[r * cols + i] = isQuant(type) ? 4 * U * magnitudes[token * cols + i] + TINY : 0;
  });
}

/**
 * A sum of squares (all positive, so its error is relative), a root (or WGSL's inverseSqrt: 2 ulp), two products. An error e
 * of the input moves the value itself and, through the mean, all values of the row.
 */
function rmsNormLimits({ op, pass, before, after }: Ran<RmsNormOp>, limits: Limits): void {
  const { width } = op;
  const input = floatsOf(before, op.input);
  const inputError = limits.values.get(op.input)!;
  const out = floatsOf(after, op.out);
  const limit = limits.values.get(op.out)!;
  const rows = op.selectOutputs ? pass.outputs.map((output) => output.row) : pass.rows.map((_, r) => r);
  rows.forEach((from, r) => {
    let squares = 0;
    let moved = 0;
    for (let i = from * width; i < (from + 1) * width; i++) {
      squares += input[i] ** 2;
      moved += Math.abs(input[i]) * inputError[i];
    }
    const factor = 1 / Math.sqrt(squares / width + op.eps);
    const relative = sumError(width) / 2 + 8 * U + (moved / width) * factor ** 2;
    for (let i = 0; i < width; i++) {
      const scale = input[from * width + i] === 0 ? 0 : Math.abs(out[r * width + i] / input[from * width + i]);
      limit[r * width + i] = relative * Math.abs(out[r * width + i]) + scale * inputError[from * width + i] + TINY;
    }
  });
}

/** What is known of input[r] . weight[n]. */
interface Product {
  readonly value: number;
  readonly limit: number;
  readonly deviation: number;
}

/**
 * Products of activation rows with a matrix.
 *
 * Where activations are rounded to 8 bits, value k of a block becomes a multiple of s = max|x| / 127 and is off by e_k with
 * |e_k| <= s / 2, which moves the product by sum_k w_k e_k. Rounding to nearest spreads e_k evenly, so that sum has the
 * standard deviation  sqrt(sum over blocks of s^2 / 12 * |w in block|^2),  and exceeds six of them with a chance below 1e-7
 * (Hoeffding); it never exceeds  sum over blocks of s / 2 * sum|w in block|.  The lesser of the two is the limit.
 *
 * To that come the roundings of the f32 sum, in proportion to the sizes of its terms (scale * code and min apart, as
 * kernels sum them: TestWeight.magnitudes), and the errors that the input has already.
 */
class Products {
  readonly #block: number;
  readonly #blocks: number;
  /** [row][block] */
  readonly #scales: Float64Array;
  /** [weight row][block] */
  readonly #squares: Float64Array;
  readonly #sums: Float64Array;

  constructor(
    private readonly weight: TestWeight,
    private readonly input: Float32Array,
    private readonly inputError: Float64Array,
    precision: Precision,
  ) {
    const { cols, values } = weight;
    this.#block = precision.activationBlock(weight.type);
    this.#blocks = this.#block === 0 ? 0 : cols / this.#block;
    const perBlock = (data: ArrayLike<number>, add: (sum: number, value: number) => number) => {
      const sums = new Float64Array(this.#block === 0 ? 0 : data.length / this.#block);
      for (let i = 0; i < sums.length * this.#block; i++) {
        const block = Math.floor(i / this.#block);
        sums[block] = add(sums[block], data[i]);
      }
      return sums;
    };
    this.#scales = perBlock(input, (sum, x) => Math.max(sum, Math.abs(x) / 127));
    this.#squares = perBlock(values, (sum, w) => sum + w * w);
    this.#sums = perBlock(values, (sum, w) => sum + Math.abs(w));
  }

  at(r: number, n: number): Product {
    const { cols, values, magnitudes } = this.weight;
    let value = 0;
    let terms = 0;
    let carried = 0;
    for (let k = 0; k < cols; k++) {
      const x = this.input[r * cols + k];
      value += values[n * cols + k] * x;
      terms += magnitudes[n * cols + k] * Math.abs(x);
      carried += Math.abs(values[n * cols + k]) * this.inputError[r * cols + k];
    }
    let variance = 0;
    let worst = 0;
    for (let b = 0; b < this.#blocks; b++) {
      const s = this.#scales[r * this.#blocks + b];
      variance += ((s * s) / 12) * this.#squares[n * this.#blocks + b];
      worst += (s / 2) * this.#sums[n * this.#blocks + b];
    }
    const deviation = Math.sqrt(variance);
    return { value, deviation, limit: Math.min(6 * deviation, worst) + sumError(cols) * terms + carried };
  }
}

/** The products, and a rounding each for the bias and for what accumulates. */
function matmulLimits({ op, setup, pass, before, after, precision }: Ran<MatmulOp>, limits: Limits): void {
  const count = op.outputs ? pass.outputs.length : pass.rows.length;
  for (const part of op.parts) {
    const weight = setup.weights[part.weight];
    const products = new Products(weight, floatsOf(before, op.input), limits.values.get(op.input)!, precision);
    const bias = part.bias === null ? null : setup.weights[part.bias].values;
    const [old, out] = [floatsOf(before, part.out), floatsOf(after, part.out)];
    const limit = limits.values.get(part.out)!;
    const deviations = limits.deviations.get(part.out)!;
    for (let r = 0; r < count; r++) {
      for (let n = 0; n < weight.rows; n++) {
        const at = r * weight.rows + n;
        const product = products.at(r, n);
        const added = (bias ? Math.abs(bias[n]) : 0) + (op.accumulate ? Math.abs(old[at]) : 0);
        limit[at] = product.limit + 4 * U * (Math.abs(out[at]) + added) + (op.accumulate ? limit[at] : 0) + TINY;
        deviations[at] = product.deviation;
      }
    }
  }
}

/** Two products; silu' is at most 1.1 and silu'' at most 0.5 in size; an exponential errs by some |x| roundings. */
function gatedMatmulLimits({ op, setup, pass, before, after, precision }: Ran<GatedMatmulOp>, limits: Limits): void {
  const input = floatsOf(before, op.input);
  const inputError = limits.values.get(op.input)!;
  const gates = new Products(setup.weights[op.gate], input, inputError, precision);
  const ups = new Products(setup.weights[op.up], input, inputError, precision);
  const { rows: width } = setup.weights[op.gate];
  const out = floatsOf(after, op.out);
  const limit = limits.values.get(op.out)!;
  for (let at = 0; at < pass.rows.length * width; at++) {
    const gate = gates.at(Math.floor(at / width), at % width);
    const up = ups.at(Math.floor(at / width), at % width);
    const sigmoid = 1 / (1 + Math.exp(-gate.value));
    const slope = Math.min(1.1, Math.abs(sigmoid * (1 + gate.value * (1 - sigmoid))) + 0.5 * gate.limit);
    limit[at] =
      slope * gate.limit * (Math.abs(up.value) + up.limit) +
      Math.abs(gate.value * sigmoid) * up.limit +
      (12 + 4 * Math.abs(gate.value)) * U * Math.abs(out[at]) +
      TINY;
  }
}

/**
 * Two products and a sum for each rotated value, in proportion to the length of the pair; head norms as rms-norm. The f16
 * caches: f32 values that differ a little may round to neighbouring halves, one unit in the last place apart. What is
 * neither rotated nor normed, and v, is only converted: exact.
 */
function ropeKvWriteLimits({ op, setup, pass, before, after }: Ran<RopeKvWriteOp>, limits: Limits): void {
  const { heads, kvHeads, headDim, ropeDim, neox } = op;
  const { context } = setup.sizes;
  const table = floatsOf(before, op.table);
  const q = floatsOf(after, op.q);
  const k = halvesOf(after, op.kCache);
  const qLimit = limits.values.get(op.q)!;
  const kLimit = limits.values.get(op.kCache)!;
  const pairs = ropeDim / 2;
  const partner = (i: number) => (neox ? (i + pairs) % ropeDim : i ^ 1);
  const pairOf = (i: number) => (neox ? i % pairs : i >> 1);
  const errorOf = (value: (i: number) => number, i: number, normed: boolean) => {
    const length = i < ropeDim ? Math.hypot(value(i), value(partner(i))) : Math.abs(value(i));
    return ((i < ropeDim ? 4 : 0) * U + (normed ? sumError(headDim) / 2 + 8 * U : 0)) * length;
  };
  pass.rows.forEach(({ slot, position }, r) => {
    for (let h = 0; h < heads; h++) {
      const at = (r * heads + h) * headDim;
      const carried = qLimit.slice(at, at + headDim);
      for (let i = 0; i < headDim; i++) {
        const turn = position * ropeDim + 2 * pairOf(i);
        const turned = Math.abs(table[turn]) * carried[i] + Math.abs(table[turn + 1]) * carried[partner(i)];
        qLimit[at + i] = errorOf((j) => q[at + j], i, op.qNorm !== null) + (i < ropeDim ? turned : carried[i]);
      }
    }
    for (let h = 0; h < kvHeads; h++) {
      const cell = ((slot * kvHeads + h) * context + position) * headDim;
      for (let i = 0; i < headDim; i++) {
        const error = errorOf((j) => f16ToNumber(k[cell + j]), i, op.kNorm !== null);
        kLimit[cell + i] = error === 0 ? 0 : error + 2 ** -10 * Math.abs(f16ToNumber(k[cell + i])) + 2 ** -24;
      }
    }
  });
}

/**
 * Scores err like sums of headDim products, an exponential by a few roundings and by its argument's; errors of weights
 * that all have alike cancel in the division. The weighted sum over the positions errs like any sum.
 */
function attentionLimits({ op, setup, pass, before }: Ran<AttentionOp>, limits: Limits): void {
  const { heads, kvHeads, headDim, scale, window } = op;
  const q = floatsOf(before, op.q);
  const [k, v] = [op.kCache, op.vCache].map((name) => halvesOf(before, name));
  const [qError, kError] = [limits.values.get(op.q)!, limits.values.get(op.kCache)!];
  const limit = limits.values.get(op.out)!;
  pass.rows.forEach(({ slot, position }, r) => {
    const first = window > 0 ? Math.max(0, position + 1 - window) : 0;
    const count = position + 1 - first;
    for (let h = 0; h < heads; h++) {
      const at = (r * heads + h) * headDim;
      const cells = ((slot * kvHeads + Math.floor((h * kvHeads) / heads)) * setup.sizes.context + first) * headDim;
      const scores = new Float64Array(count);
      const errors = new Float64Array(count);
      for (let p = 0; p < count; p++) {
        let terms = 0;
        let carried = 0;
        for (let i = 0; i < headDim; i++) {
          const key = f16ToNumber(k[cells + p * headDim + i]);
          scores[p] += q[at + i] * key * scale;
          terms += Math.abs(q[at + i] * key);
          carried += qError[at + i] * Math.abs(key) + kError[cells + p * headDim + i] * Math.abs(q[at + i]);
        }
        errors[p] = scale * (sumError(headDim) * terms + carried);
      }
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((a, b) => a + b);
      let mean = 0;
      for (let p = 0; p < count; p++) {
        weights[p] /= sum;
        errors[p] += (4 + 4 * Math.abs(scores[p] - largest)) * U;
        mean += weights[p] * errors[p];
      }
      for (let i = 0; i < headDim; i++) {
        let total = TINY;
        for (let p = 0; p < count; p++) {
          const size = weights[p] * Math.abs(f16ToNumber(v[cells + p * headDim + i]));
          total += size * (errors[p] + mean + 2 * sumError(count));
        }
        limit[at + i] = total;
      }
    }
  });
}

/** Tokens, logits, counts and targets are copies: exact. The log-sum-exp errs as attention's softmax does. */
function topKLimits({ op, pass, before, after }: Ran<TopKOp>, limits: Limits): void {
  const logits = floatsOf(before, op.input);
  const out = floatsOf(after, op.out);
  const limit = limits.values.get(op.out)!;
  const words = outputBytes(op.k) / 4;
  const count = Math.min(op.k, op.width);
  for (let o = 0; o < pass.outputs.length; o++) {
    const row = logits.subarray(o * op.width, (o + 1) * op.width);
    const largest = row.reduce((a, b) => Math.max(a, b));
    const sum = row.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    const errors = row.reduce((total, logit) => {
      const weight = Math.exp(logit - largest);
      // What is infinitely far below adds nothing, and no error.
      return weight === 0 ? total : total + weight * (4 + 4 * (largest - logit)) * U;
    }, 0);
    limit[o * words] = errors / sum + sumError(op.width) + 4 * U * (Math.abs(out[o * words]) + Math.abs(largest));
    // Candidates that a narrow row does not have.
    limit.fill(Number.POSITIVE_INFINITY, o * words + 4 + 2 * count, (o + 1) * words);
  }
}
