// Units that the CPU computes beside a device: the hidden states of a pass come to the host, and go back changed. Nothing else
// crosses the link.
import type { Backend, BoundWeight, CommandList, DeviceRange, HostMemory, PassSizes } from '../backend/backend.js';
import { StepBuffer } from '../backend/step.js';
import { NtxError } from '../errors.js';
import type { Model } from '../model/index.js';
import { type AllocatedBuffers, allocateBuffers } from './buffers.js';
import type { ExecutablePlan } from './recording.js';

/** What the streamer knows of them. */
export interface CpuUnits {
  /**
   * Computes a unit behind everything that the device has been given so far. When this resolves, what is submitted next finds its
   * result. Rejects with NtxError.
   * @param onEnd told when the CPU began and ended, in milliseconds of performance.now()
   */
  compute(unit: number, rows: number, onEnd?: (began: number, ended: number) => void): Promise<void>;
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
  readonly #device: Backend;
  readonly #cpu: Backend;
  readonly #hidden: DeviceRange;
  readonly #rowBytes: number;
  readonly #buffers: AllocatedBuffers;
  readonly #own: HostMemory;
  readonly #wayBack: WayBack;
  readonly #list: CommandList;
  /** Of each unit: one recording serves all of them, with one scratch. */
  readonly #segments = new Map<number, number>();
  readonly #step: StepBuffer;
  #freed = false;

  constructor({ device, cpu, model, plan, weights, hidden, sizes }: CpuUnitsParts) {
    this.#device = device;
    this.#cpu = cpu;
    this.#hidden = hidden;
    const own = sizesOf(plan, sizes);
    const units = model.units.flatMap((_, unit) =>
      plan.schedules.some(({ onCpu }) => onCpu.includes(unit)) ? unit : [],
    );
    const ops = units.flatMap((unit) => model.units[unit].ops);
    const cuts: number[] = [];
    let count = 0;
    for (const [segment, unit] of units.entries()) {
      if (segment > 0) cuts.push(count);
      count += model.units[unit].ops.length;
      this.#segments.set(unit, segment);
    }
    const names = new Set(
      ops.flatMap((op) => ('input' in op ? [op.input, HIDDEN, 'out' in op ? op.out : HIDDEN] : [])),
    );
    this.#buffers = allocateBuffers(
      cpu,
      model.buffers.filter(({ name }) => names.has(name)),
      own,
    );
    this.#own = this.#buffers.ranges.get(HIDDEN)!.memory as HostMemory;
    this.#rowBytes = this.#own.bytes / own.maxRows;
    this.#list = cpu.record(ops, { weights, buffers: this.#buffers.ranges, sizes: own }, cuts, cuts);
    this.#step = new StepBuffer(own.maxRows, own.maxOutputs);
    this.#wayBack = device.registerHost
      ? new SharedWay(device, device.registerHost(this.#own.view(0, this.#own.bytes), 'hidden states'))
      : new StagedWay(device, this.#own);
  }

  async compute(unit: number, rows: number, onEnd?: (began: number, ended: number) => void): Promise<void> {
    const bytes = rows * this.#rowBytes;
    const arriving = this.#device.read({ ...this.#hidden, bytes });
    this.#count(rows);
    const arrived = await arriving;
    this.#requireOpen();
    this.#own.view(0, bytes).set(new Uint8Array(arrived));
    const began = performance.now();
    await this.#cpu.wait(this.#cpu.submit(this.#list, this.#step, [], this.#segments.get(unit)));
    onEnd?.(began, performance.now());
    this.#requireOpen();
    await this.#wayBack.send({ ...this.#hidden, bytes });
  }

  /** The device has done everything that it was given. Memory of the CPU is freed with its backend. */
  free(): void {
    if (!this.#freed) this.#wayBack.free();
    this.#freed = true;
  }

  /** Units look at nothing of a row but that it is there. */
  #count(rows: number): void {
    if (this.#step.rows === rows) return;
    this.#step.clear();
    for (let row = 0; row < rows; row++) this.#step.addRow(0, row, 0);
  }

  #requireOpen(): void {
    if (!this.#freed) return;
    throw new NtxError('cancelled', 'the model was disposed during a pass', 'load it again');
  }
}

/** Rows of the largest pass that computes units on the CPU. Each row is at its own position of one slot. */
function sizesOf({ schedules }: ExecutablePlan, { maxRows }: PassSizes): PassSizes {
  const most = Math.max(...schedules.map(({ maxRows: rows, onCpu }) => (onCpu.length > 0 ? rows : 1)));
  const rows = Math.min(most, maxRows);
  return { maxRows: rows, maxOutputs: 1, slots: 1, context: rows };
}

/** How results get to the device. */
interface WayBack {
  /** Resolves when what is submitted next comes behind the copy. */
  send(to: DeviceRange): Promise<void> | void;
  free(): void;
}

/** The device copies out of the CPU's own memory. By the time that its rows are written again, they have been read again. */
class SharedWay implements WayBack {
  constructor(
    private readonly device: Backend,
    private readonly memory: HostMemory,
  ) {}

  send(to: DeviceRange): void {
    this.device.copy({ memory: this.memory, offset: 0, bytes: to.bytes }, to);
  }

  free(): void {
    this.memory.free();
  }
}

/** Through two host memories in turn: one is mapped again while the other is copied from. */
class StagedWay implements WayBack {
  readonly #memories: readonly HostMemory[];
  readonly #ready: Promise<void>[];
  #turn = 0;

  constructor(
    private readonly device: Backend,
    private readonly source: HostMemory,
  ) {
    this.#memories = [0, 1].map((i) => device.allocateHost(source.bytes, `hidden states ${i}`));
    this.#ready = this.#memories.map(() => Promise.resolve());
  }

  async send(to: DeviceRange): Promise<void> {
    const turn = this.#turn;
    this.#turn = 1 - turn;
    const memory = this.#memories[turn];
    await this.#ready[turn];
    memory.view(0, to.bytes).set(this.source.view(0, to.bytes));
    const fence = this.device.copy({ memory, offset: 0, bytes: to.bytes }, to);
    this.#ready[turn] = memory.map ? memory.map() : this.device.wait(fence);
    // The next to wait for it sees the failure.
    this.#ready[turn].catch(() => {});
  }

  free(): void {
    for (const memory of this.#memories) memory.free();
  }
}
