// Op[] and Bindings to the bytes of native/ops.h, which the host addon and the CUDA addon decode.
import { NtxError } from '../errors.js';
import { TYPES } from '../gguf/types.js';
import type { Bindings, BoundWeight, DeviceMemory, DeviceRange } from './backend.js';
import { checkOps } from './check-ops.js';
import type { Op } from './ops.js';

const MAGIC = 0x4f58544e; // "NTXO"
const VERSION = 1;
const HEADER_BYTES = 32;
const RANGE_BYTES = 24;
const OP_WORDS = 32;
const NONE = 0xffffffff;

/** OpKind of native/ops.h. */
const KINDS = {
  embed: 1,
  'rms-norm': 2,
  matmul: 3,
  'gated-matmul': 4,
  'rope-kv-write': 5,
  attention: 6,
  'top-k': 7,
} as const satisfies Record<Op['kind'], number>;

const SILU = 0;

export interface EncodedOps {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the memory indices in `bytes` stand for. */
  readonly memories: readonly DeviceMemory[];
}

/** Checks the ops against their bindings (checkOps) and encodes them. Throws NtxError('internal') naming the op. */
export function encodeOps(ops: readonly Op[], bindings: Bindings): EncodedOps {
  checkOps(ops, bindings);
  const ranges = new RangeTable();
  const words = new DataView(new ArrayBuffer(ops.length * OP_WORDS * 4));
  ops.forEach((op, index) => {
    const writer = new OpWriter(words, index, `op ${index} (${op.kind})`, bindings, ranges);
    writer.u32(KINDS[op.kind]);
    writeFields(op, writer);
  });
  const { maxRows, maxOutputs, slots, context } = bindings.sizes;
  const rangesAt = HEADER_BYTES;
  const opsAt = rangesAt + ranges.list.length * RANGE_BYTES;
  const bytes = new Uint8Array(opsAt + words.byteLength);
  const view = new DataView(bytes.buffer);
  const header = [MAGIC, VERSION, ranges.list.length, ops.length, maxRows, maxOutputs, slots, context];
  header.forEach((word, index) => {
    requireWord('op list', word);
    view.setUint32(index * 4, word, true);
  });
  ranges.list.forEach(({ memory, range }, index) => {
    const at = rangesAt + index * RANGE_BYTES;
    view.setUint32(at, memory, true);
    view.setBigUint64(at + 8, BigInt(range.offset), true);
    view.setBigUint64(at + 16, BigInt(range.bytes), true);
  });
  bytes.set(new Uint8Array(words.buffer), opsAt);
  return { bytes, memories: ranges.memories };
}

function writeFields(op: Op, to: OpWriter): void {
  switch (op.kind) {
    case 'embed':
      to.table(op.table);
      to.buffer(op.out);
      return;
    case 'rms-norm':
      to.buffer(op.input);
      to.vector(op.weight);
      to.buffer(op.out);
      to.u32(op.width);
      to.f32(op.eps);
      to.flag(op.selectOutputs);
      return;
    case 'matmul':
      to.buffer(op.input);
      to.u32(op.parts.length);
      to.flag(op.accumulate);
      to.flag(op.outputs);
      for (const { weight, bias, out } of op.parts) {
        to.weight(weight);
        to.vector(bias);
        to.buffer(out);
      }
      return;
    case 'gated-matmul':
      to.buffer(op.input);
      to.buffer(op.out);
      to.u32(SILU);
      to.weight(op.gate);
      to.weight(op.up);
      return;
    case 'rope-kv-write':
      for (const name of [op.q, op.k, op.v, op.kCache, op.vCache, op.table]) to.buffer(name);
      to.vector(op.qNorm);
      to.vector(op.kNorm);
      for (const count of [op.heads, op.kvHeads, op.headDim, op.ropeDim]) to.u32(count);
      to.flag(op.neox);
      to.f32(op.eps);
      return;
    case 'attention':
      for (const name of [op.q, op.kCache, op.vCache, op.out]) to.buffer(name);
      for (const count of [op.heads, op.kvHeads, op.headDim]) to.u32(count);
      to.f32(op.scale);
      to.u32(op.window);
      return;
    case 'top-k':
      to.buffer(op.input);
      to.buffer(op.out);
      to.u32(op.width);
      to.u32(op.k);
      return;
  }
}

function requireWord(where: string, value: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= NONE) return;
  throw new NtxError('internal', `${where}: expected a number of 32 bits, got ${value}`, 'report this');
}

/** The ranges that ops name, each once. */
class RangeTable {
  readonly list: { memory: number; range: DeviceRange }[] = [];
  readonly memories: DeviceMemory[] = [];
  private readonly indices = new Map<string, number>();
  private readonly memoryIndices = new Map<DeviceMemory, number>();

  indexOf(range: DeviceRange): number {
    let memory = this.memoryIndices.get(range.memory);
    if (memory === undefined) {
      memory = this.memories.push(range.memory) - 1;
      this.memoryIndices.set(range.memory, memory);
    }
    const key = `${memory} ${range.offset} ${range.bytes}`;
    let index = this.indices.get(key);
    if (index === undefined) {
      index = this.list.push({ memory, range }) - 1;
      this.indices.set(key, index);
    }
    return index;
  }
}

/** Writes the 32-bit words of one op record, in the order of its struct; what is not written stays 0. */
class OpWriter {
  private at: number;

  constructor(
    private readonly view: DataView,
    index: number,
    private readonly where: string,
    private readonly bindings: Bindings,
    private readonly ranges: RangeTable,
  ) {
    this.at = index * OP_WORDS * 4;
  }

  u32(value: number): void {
    requireWord(this.where, value);
    this.view.setUint32(this.at, value, true);
    this.at += 4;
  }

  f32(value: number): void {
    this.view.setFloat32(this.at, value, true);
    this.at += 4;
  }

  flag(value: boolean): void {
    this.u32(value ? 1 : 0);
  }

  buffer(name: string): void {
    this.u32(this.ranges.indexOf(this.bindings.buffers.get(name)!));
  }

  /** A vector of F32: its range alone. */
  vector(name: string | null): void {
    this.u32(name === null ? NONE : this.ranges.indexOf(this.bindings.weights.get(name)!.range));
  }

  /** A matrix as products read it: WeightRef. */
  weight(name: string): void {
    const weight = this.bindings.weights.get(name)!;
    this.matrix(weight, weight.range);
  }

  /** A matrix as embed reads it: WeightRef. */
  table(name: string): void {
    const weight = this.bindings.weights.get(name)!;
    this.matrix(weight, weight.table ?? weight.range);
  }

  private matrix({ type, rows, cols }: BoundWeight, range: DeviceRange): void {
    this.u32(TYPES[type].id);
    this.u32(rows);
    this.u32(cols);
    this.u32(this.ranges.indexOf(range));
  }
}
