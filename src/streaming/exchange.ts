// How hidden states get to the CPU and back.
import type { Backend, CommandList, DeviceRange, Fence, HostMemory } from '../backend/backend.js';
import type { StepBuffer } from '../backend/step.js';
import { TURN_HEADER } from '../backend/turns.js';
import { NtxError } from '../errors.js';
import type { CpuSpan } from './cpu-units.js';

export interface Exchange {
  /** Of RAM, beside the memory that both sides know. */
  readonly bytes: number;
  /**
   * Lets a segment of a list of the CPU change a range of the device's memory, behind what the device was given before. When this
   * resolves, what it is given next comes behind that.
   */
  run(range: DeviceRange, list: CommandList, step: StepBuffer, segment: number): Promise<void>;
  /** When the last segment was at work. */
  span(): Promise<CpuSpan>;
  /** When nothing is under way, of a pass that was given up too. Rejects where the device has failed. */
  settle(): Promise<void>;
  /** To be called then. */
  free(): void;
}

/**
 * All of it is enqueued at once, on both sides, which tell each other through words in shared memory: this thread is not needed,
 * and a hand-over takes microseconds.
 */
export class ExchangeInTurns implements Exchange {
  readonly bytes = 0;
  readonly #shared: HostMemory;
  #turn = 0;
  #fence: Fence | null = null;
  #handedOver: Fence | null = null;

  constructor(
    private readonly device: Backend,
    private readonly cpu: Backend,
    private readonly memory: HostMemory,
  ) {
    this.#shared = device.registerHost!(memory.view(0, memory.bytes), memory.label);
  }

  async run(range: DeviceRange, list: CommandList, step: StepBuffer, segment: number): Promise<void> {
    this.#turn = (this.#turn + 1) >>> 0;
    // The CPU first: a device that waits for nobody would wait for ever.
    this.#fence = this.cpu.takeTurn!(list, step, segment, this.memory, this.#turn);
    this.#handedOver = this.device.handOver!(range, this.#shared, this.#turn);
  }

  async span(): Promise<CpuSpan> {
    const fence = this.#fence!;
    await this.cpu.wait(fence);
    return this.cpu.turnTimes!(fence);
  }

  async settle(): Promise<void> {
    if (this.#handedOver !== null) await this.device.wait(this.#handedOver);
  }

  free(): void {
    this.#shared.free();
  }
}

/** Memories that take turns: one is mapped again while the other is copied from. */
export const COPIES = 2;

/** By reads and copies, each of which this thread waits for. */
export class ExchangeByCopies implements Exchange {
  readonly bytes: number;
  readonly #memories: HostMemory[] = [];
  readonly #ready: Promise<void>[];
  #place = 0;
  #span: Promise<CpuSpan> | null = null;
  #freed = false;

  constructor(
    private readonly device: Backend,
    private readonly cpu: Backend,
    private readonly memory: HostMemory,
  ) {
    const bytes = memory.bytes - TURN_HEADER;
    this.bytes = COPIES * bytes;
    try {
      for (let i = 0; i < COPIES; i++) this.#memories.push(device.allocateHost(bytes, `${memory.label} ${i}`));
    } catch (error) {
      this.free();
      throw error;
    }
    this.#ready = this.#memories.map(() => Promise.resolve());
  }

  async run(range: DeviceRange, list: CommandList, step: StepBuffer, segment: number): Promise<void> {
    const arriving = this.device.read(range);
    const computed = this.#compute(arriving, list, step, segment);
    this.#span = computed;
    await computed;
    this.#requireOpen();
    await this.#sendBack(range);
  }

  span(): Promise<CpuSpan> {
    return this.#span!;
  }

  async settle(): Promise<void> {
    await Promise.all(this.#ready);
  }

  free(): void {
    this.#freed = true;
    for (const memory of this.#memories) memory.free();
  }

  async #compute(
    arriving: Promise<ArrayBuffer>,
    list: CommandList,
    step: StepBuffer,
    segment: number,
  ): Promise<CpuSpan> {
    const arrived = new Uint8Array(await arriving);
    this.#requireOpen();
    this.memory.view(TURN_HEADER, arrived.length).set(arrived);
    const began = performance.now();
    await this.cpu.wait(this.cpu.submit(list, step, [], segment));
    return { began, ended: performance.now() };
  }

  async #sendBack(to: DeviceRange): Promise<void> {
    const place = this.#place;
    this.#place = (place + 1) % COPIES;
    const memory = this.#memories[place];
    await this.#ready[place];
    memory.view(0, to.bytes).set(this.memory.view(TURN_HEADER, to.bytes));
    const fence = this.device.copy({ memory, offset: 0, bytes: to.bytes }, to);
    this.#ready[place] = memory.map ? memory.map() : this.device.wait(fence);
    // The next to wait for it sees the failure.
    this.#ready[place].catch(() => {});
  }

  #requireOpen(): void {
    if (!this.#freed) return;
    throw new NtxError('cancelled', 'the model was disposed during a pass', 'load it again');
  }
}
