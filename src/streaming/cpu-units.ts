// Units that the CPU computes beside a device: the hidden states of a pass come to the host, and go back changed. Nothing else
// crosses the link.
import type { Backend, BoundWeight, CommandList, DeviceRange, PassSizes } from '../backend/backend.js';
import { listMemory } from '../backend/list-memory.js';
import type { Op } from '../backend/ops.js';
import { StepBuffer } from '../backend/step.js';
import { TURN_HEADER } from '../backend/turns.js';
import { NtxError } from '../errors.js';
import type { BufferSpec, Model } from '../model/index.js';
import { allocateBuffers, bufferBytes } from './buffers.js';
import { COPIES, type Exchange, ExchangeByCopies, ExchangeInTurns } from './exchange.js';
import { matricesOf } from './layout.js';
import type { ExecutablePlan } from './recording.js';

/** When the CPU was at work: milliseconds of performance.now(). */
export interface CpuSpan {
  readonly began: number;
  readonly ended: number;
}

/** What the streamer knows of them. */
export interface CpuUnits {
  /**
   * Computes a unit behind everything that the device has been given so far. When this resolves, what is submitted next finds its
   * result. Rejects with NtxError.
   */
  compute(unit: number, rows: number): Promise<void>;
  /** When the unit that was computed last, or is now, was. Rejects where it was not. */
  span(): Promise<CpuSpan>;
}

export interface CpuUnitsParts {
  readonly device: Backend;
  readonly cpu: Backend;
  readonly model: Model;
  readonly plan: ExecutablePlan;
  /** In memory of the CPU. */
  readonly weights: ReadonlyMap<string, BoundWeight>;
  /** The hidden states on the device: f32 [rows][width]. */
  readonly hidden: DeviceRange;
  readonly sizes: PassSizes;
}

/** The buffer that all units read and add to. */
export const HIDDEN = 'x';

/** Their recording, with activations for the rows of the passes that compute any. */
export class RecordedCpuUnits implements CpuUnits {
  readonly #hidden: DeviceRange;
  readonly #rowBytes: number;
  readonly #exchange: Exchange;
  /** Of each unit: one recording serves all of them, with one scratch. */
  readonly #segments = new Map<number, number>();
  readonly #list: CommandList;
  readonly #step: StepBuffer;
  /** Of RAM, beside weights. */
  readonly bytes: number;
  #freed = false;

  constructor({ device, cpu, model, plan, weights, hidden, sizes }: CpuUnitsParts) {
    const { units, ops, cuts, buffers, sizes: own } = cpuWork(model, plan.schedules, sizes);
    for (const [segment, unit] of units.entries()) this.#segments.set(unit, segment);
    const bytes = hiddenBytes(buffers, own);
    const shared = cpu.allocateHost(TURN_HEADER + bytes, 'hidden states');
    const others = allocateBuffers(
      cpu,
      buffers.filter(({ name }) => name !== HIDDEN),
      own,
    );
    const ranges = new Map(others.ranges).set(HIDDEN, { memory: shared, offset: TURN_HEADER, bytes });
    this.#hidden = hidden;
    this.#rowBytes = bytes / own.maxRows;
    this.#list = cpu.record(ops, { weights, buffers: ranges, sizes: own }, cuts, cuts);
    this.#step = new StepBuffer(own.maxRows, own.maxOutputs);
    const inTurns = device.registerHost && device.handOver && cpu.takeTurn;
    this.#exchange = inTurns ? new ExchangeInTurns(device, cpu, shared) : new ExchangeByCopies(device, cpu, shared);
    this.bytes = shared.bytes + others.bytes + this.#exchange.bytes + (this.#list.memory?.host ?? 0);
  }

  async compute(unit: number, rows: number): Promise<void> {
    if (this.#freed) throw new NtxError('cancelled', 'the model was disposed during a pass', 'load it again');
    this.#count(rows);
    const range = { ...this.#hidden, bytes: rows * this.#rowBytes };
    await this.#exchange.run(range, this.#list, this.#step, this.#segments.get(unit)!);
  }

  span(): Promise<CpuSpan> {
    return this.#exchange.span();
  }

  /** When nothing is under way, of a pass that was given up too. Rejects where the device has failed. */
  settle(): Promise<void> {
    return this.#exchange.settle();
  }

  /** To be called then. Memory of the CPU is freed with its backend. */
  free(): void {
    if (!this.#freed) this.#exchange.free();
    this.#freed = true;
  }

  /** Units look at nothing of a row but that it is there. */
  #count(rows: number): void {
    if (this.#step.rows === rows) return;
    this.#step.clear();
    for (let row = 0; row < rows; row++) this.#step.addRow(0, row, 0);
  }
}

/** What the CPU computes in passes of a plan. */
interface CpuWork {
  /** By index; each is a segment of the ops. */
  readonly units: readonly number[];
  readonly ops: readonly Op[];
  readonly cuts: readonly number[];
  /** That the ops name. */
  readonly buffers: readonly BufferSpec[];
  /** For the rows of the largest pass that computes units on the CPU. Each row is at its own position of one slot. */
  readonly sizes: PassSizes;
}

function cpuWork(model: Model, schedules: ExecutablePlan['schedules'], { maxRows }: PassSizes): CpuWork {
  const units = model.units.flatMap((_, unit) => (schedules.some(({ onCpu }) => onCpu.includes(unit)) ? unit : []));
  const ops: Op[] = [];
  const cuts: number[] = [];
  for (const unit of units) {
    if (ops.length > 0) cuts.push(ops.length);
    ops.push(...model.units[unit].ops);
  }
  const used = new Set(ops.flatMap((op) => ('input' in op ? [op.input, 'out' in op ? op.out : HIDDEN] : [])));
  const buffers = model.buffers.filter(({ name }) => name === HIDDEN || used.has(name));
  const most = Math.max(...schedules.map(({ maxRows: rows, onCpu }) => (onCpu.length > 0 ? rows : 1)));
  const rows = Math.min(most, maxRows);
  return { units, ops, cuts, buffers, sizes: { maxRows: rows, maxOutputs: 1, slots: 1, context: rows } };
}

function hiddenBytes(buffers: readonly BufferSpec[], sizes: PassSizes): number {
  return bufferBytes(buffers.find(({ name }) => name === HIDDEN)!, sizes);
}

/** RAM that units on the CPU take in passes of a plan beside their weights, at most; 0 where there are none. */
export function cpuUnitsBytes(
  model: Model,
  schedules: ExecutablePlan['schedules'],
  sizes: PassSizes,
  threads: number,
): number {
  const { units, ops, buffers, sizes: own } = cpuWork(model, schedules, sizes);
  if (units.length === 0) return 0;
  const activations = buffers.reduce((sum, spec) => sum + bufferBytes(spec, own), TURN_HEADER);
  const list = listMemory('cpu', { ops, weights: matricesOf(model), sizes: own }, threads);
  return activations + COPIES * hiddenBytes(buffers, own) + list.host;
}
