import { NtxError } from '../errors.js';
import { TYPES, typeBytes } from '../gguf/types.js';
import type { Bindings, BoundWeight, DeviceRange } from './backend.js';
import type { AttentionOp, Op, RopeKvWriteOp } from './ops.js';
import { outputBytes } from './outputs.js';

/** Kernels may read activations, vectors and caches as whole 32-bit words. */
const BUFFER_ALIGNMENT = 4;
/** GGUF's own; what native/host/kernels/kernels.h promises its kernels. */
const MATRIX_ALIGNMENT = 32;
const F32_BYTES = 4;
const F16_BYTES = 2;

/**
 * What every backend's record() checks: that each name is bound, that shapes fit together, that ranges are large enough
 * for the pass sizes, inside of their memory and aligned, and that no op writes what it reads unless it says so. Throws
 * NtxError('internal') naming the op.
 */
export function checkOps(ops: readonly Op[], bindings: Bindings): void {
  for (const [name, size] of Object.entries(bindings.sizes)) {
    if (!isCount(size))
      throw new NtxError('internal', `sizes.${name}: expected at least 1, got ${size}`, 'report this');
  }
  ops.forEach((op, index) => {
    new OpCheck(`op ${index} (${op.kind})`, bindings).check(op);
  });
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1;
}

class OpCheck {
  constructor(
    private readonly where: string,
    private readonly bindings: Bindings,
  ) {}

  check(op: Op): void {
    const { maxRows, maxOutputs } = this.bindings.sizes;
    switch (op.kind) {
      case 'embed': {
        const table = this.matrix(op.table);
        this.floats(op.out, maxRows * table.cols);
        return;
      }
      case 'rms-norm':
        this.count('width', op.width);
        this.number('eps', op.eps, op.eps >= 0);
        this.vector(op.weight, op.width);
        this.distinct(
          [this.floats(op.input, maxRows * op.width)],
          [this.floats(op.out, (op.selectOutputs ? maxOutputs : maxRows) * op.width)],
        );
        return;
      case 'matmul': {
        if (op.parts.length < 1 || op.parts.length > 3) throw this.mismatch('parts', '1 to 3', op.parts.length);
        const rows = op.outputs ? maxOutputs : maxRows;
        const { cols } = this.matrix(op.parts[0].weight);
        const outs = op.parts.map(({ weight, bias, out }) => {
          const matrix = this.matrix(weight);
          if (matrix.cols !== cols) throw this.mismatch(`columns of ${weight}`, cols, matrix.cols);
          if (bias !== null) this.vector(bias, matrix.rows);
          return this.floats(out, rows * matrix.rows);
        });
        this.distinct([this.floats(op.input, rows * cols)], outs);
        return;
      }
      case 'gated-matmul': {
        const gate = this.matrix(op.gate);
        const up = this.matrix(op.up);
        if (up.cols !== gate.cols) throw this.mismatch(`columns of ${op.up}`, gate.cols, up.cols);
        if (up.rows !== gate.rows) throw this.mismatch(`rows of ${op.up}`, gate.rows, up.rows);
        this.distinct([this.floats(op.input, maxRows * gate.cols)], [this.floats(op.out, maxRows * gate.rows)]);
        return;
      }
      case 'rope-kv-write':
        this.ropeKvWrite(op);
        return;
      case 'attention': {
        this.number('scale', op.scale, true);
        this.number('window', op.window, Number.isSafeInteger(op.window) && op.window >= 0);
        const caches = this.heads(op);
        const values = maxRows * op.heads * op.headDim;
        this.distinct([this.floats(op.q, values), ...caches], [this.floats(op.out, values)]);
        return;
      }
      case 'top-k':
        this.count('width', op.width);
        this.count('k', op.k);
        this.distinct(
          [this.floats(op.input, maxOutputs * op.width)],
          [this.buffer(op.out, maxOutputs * outputBytes(op.k))],
        );
        return;
    }
  }

  private ropeKvWrite(op: RopeKvWriteOp): void {
    const { maxRows, context } = this.bindings.sizes;
    const { heads, kvHeads, headDim, ropeDim } = op;
    if (!isCount(ropeDim) || ropeDim > headDim || ropeDim % 2 !== 0) {
      throw this.mismatch('ropeDim', `an even number up to the head's ${headDim}`, ropeDim);
    }
    this.number('eps', op.eps, op.eps >= 0);
    const caches = this.heads(op);
    if (op.qNorm !== null) this.vector(op.qNorm, headDim);
    if (op.kNorm !== null) this.vector(op.kNorm, headDim);
    const kvValues = maxRows * kvHeads * headDim;
    this.distinct(
      [this.floats(op.k, kvValues), this.floats(op.v, kvValues), this.floats(op.table, context * ropeDim)],
      [this.floats(op.q, maxRows * heads * headDim), ...caches],
    );
  }

  /** Checks the head counts and both caches, which it returns. */
  private heads({ heads, kvHeads, headDim, kCache, vCache }: RopeKvWriteOp | AttentionOp): DeviceRange[] {
    const { slots, context } = this.bindings.sizes;
    this.count('heads', heads);
    this.count('kvHeads', kvHeads);
    this.count('headDim', headDim);
    if (heads % kvHeads !== 0) throw this.mismatch('heads', `a multiple of ${kvHeads} key-value heads`, heads);
    const bytes = slots * kvHeads * context * headDim * F16_BYTES;
    return [this.buffer(kCache, bytes), this.buffer(vCache, bytes)];
  }

  private matrix(name: string): BoundWeight {
    const weight = this.weight(name, MATRIX_ALIGNMENT);
    const { type, cols } = weight;
    const { blockWeights } = TYPES[type];
    if (cols % blockWeights !== 0) throw this.mismatch(`columns of ${name}`, `whole blocks of ${blockWeights}`, cols);
    return weight;
  }

  /** A norm or a bias. */
  private vector(name: string, values: number): void {
    const { type, rows, cols } = this.weight(name, BUFFER_ALIGNMENT);
    if (type !== 'F32' || rows !== 1 || cols !== values) {
      throw this.mismatch(name, `F32 1 x ${values}`, `${type} ${rows} x ${cols}`);
    }
  }

  private weight(name: string, alignment: number): BoundWeight {
    const weight = this.bindings.weights.get(name);
    if (!weight) throw this.mismatch('weights', `one named ${name}`, 'none');
    const { type, rows, cols, range } = weight;
    if (!isCount(rows) || !isCount(cols)) throw this.mismatch(`shape of ${name}`, '1 x 1 or more', `${rows} x ${cols}`);
    this.range(name, range, rows * typeBytes(type, cols), alignment);
    return weight;
  }

  private floats(name: string, values: number): DeviceRange {
    return this.buffer(name, values * F32_BYTES);
  }

  private buffer(name: string, bytes: number): DeviceRange {
    const range = this.bindings.buffers.get(name);
    if (!range) throw this.mismatch('buffers', `one named ${name}`, 'none');
    this.range(name, range, bytes, BUFFER_ALIGNMENT);
    return range;
  }

  private range(name: string, { memory, offset, bytes }: DeviceRange, needed: number, alignment: number): void {
    if (!(bytes >= needed)) throw this.mismatch(`bytes of ${name}`, `at least ${needed}`, bytes);
    if (!(offset >= 0 && offset + bytes <= memory.bytes)) {
      throw this.mismatch(`range of ${name}`, `inside of ${memory.bytes} bytes`, `${offset} to ${offset + bytes}`);
    }
    if (offset % alignment !== 0) throw this.mismatch(`offset of ${name}`, `a multiple of ${alignment}`, offset);
  }

  /** No output may share bytes with an input or with another output. */
  private distinct(inputs: readonly DeviceRange[], outputs: readonly DeviceRange[]): void {
    outputs.forEach((output, index) => {
      for (const other of [...inputs, ...outputs.slice(index + 1)]) {
        const apart = output.offset + output.bytes <= other.offset || other.offset + other.bytes <= output.offset;
        if (output.memory !== other.memory || apart) continue;
        throw this.mismatch('output', 'memory of its own', `bytes from ${output.offset} that another operand has too`);
      }
    });
  }

  private count(what: string, value: number): void {
    this.number(what, value, isCount(value));
  }

  private number(what: string, value: number, valid: boolean): void {
    if (!valid || !Number.isFinite(value)) throw this.mismatch(what, 'a number in its range', value);
  }

  private mismatch(what: string, expected: string | number, received: string | number): NtxError {
    return new NtxError('internal', `${this.where}: ${what}: expected ${expected}, got ${received}`, 'report this');
  }
}
