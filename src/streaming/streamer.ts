// Runs passes of a plan: submits segments in order, each behind the copy of the unit that it begins with, and keeps reads and
// copies going ahead of them, across the end of a pass. It only enqueues; it waits for nothing but reads that are late.
import type { Backend, DeviceMemory, DeviceRange, DrawnPass, Fence } from '../backend/backend.js';
import type { NextSampling } from '../backend/sampling.js';
import type { StepBuffer } from '../backend/step.js';
import { NtxError } from '../errors.js';
import type { Transfer } from '../placement/plan.js';
import type { CpuSpan, CpuUnits } from './cpu-units.js';
import { bytesRead, inLanes } from './lanes.js';
import type { Recording } from './recording.js';
import { type Flight, isThere, SlotRing } from './slot-ring.js';
import type { Tier } from './tiers.js';

/** Told what happens, for measuring: a pass is not slower for it. */
export interface StreamWatcher {
  /** Milliseconds of performance.now(). */
  read(transfer: Transfer, began: number, ended: number): void;
  copy(transfer: Transfer, fence: Fence): void;
  /** `transfer`: what the segment began with. */
  compute(transfer: Transfer | null, fence: Fence): void;
  /** A unit on the CPU, in front of the next compute(). The promise rejects where the pass does. */
  cpu(unit: number, span: Promise<CpuSpan>): void;
}

export interface StreamerParts {
  readonly backend: Backend;
  /** By ascending maxRows; the last takes every pass. */
  readonly recordings: readonly Recording[];
  readonly slots: readonly DeviceMemory[];
  readonly stagingCount: number;
  tierOf(transfer: Transfer): Tier;
  /** null: the plan computes none. */
  readonly cpu: CpuUnits | null;
}

export class Streamer {
  watcher: StreamWatcher | null = null;
  readonly #ring: SlotRing;
  /** Per slot: the segment that used it last. */
  readonly #used: (Fence | undefined)[];
  /** Of the segment that was submitted last. */
  #last: Fence | null = null;
  /** Of transfers on their way into a slot. */
  readonly #copies = new Map<Flight, Fence>();
  readonly #failures = new WeakMap<Flight, unknown>();
  /** Counts passes. */
  #pass = 0;
  /** Wakes the pass that waits for a read. */
  #wake: () => void = () => {};
  /** Staging belongs to readAlone(). */
  #alone = false;
  #stopped = false;

  constructor(private readonly parts: StreamerParts) {
    this.#ring = new SlotRing(parts.slots.length, parts.stagingCount);
    this.#used = parts.slots.map(() => undefined);
  }

  /** Fetches ahead for the first pass, taking it to be of one row. */
  start(): void {
    this.#begin(this.recordingFor(1).transfers);
    this.ahead();
  }

  /**
   * Submits a pass. Rejects with NtxError('io') when a unit cannot be read, and with NtxError('cancelled') when the signal is
   * aborted before all is submitted: the pass has no result then, and the next one begins anew.
   */
  async run(step: StepBuffer, signal?: AbortSignal): Promise<Fence> {
    const { backend } = this.parts;
    const { list, segments, transfers } = this.recordingFor(step.rows);
    this.#begin(transfers);
    for (const [index, { transfer, onCpu }] of segments.entries()) {
      if (onCpu !== null) await this.#onCpu(onCpu, step.rows, signal);
      else if (index > 0) this.ahead();
      const flight = transfer && this.#ring.nextUse();
      if (flight && !isThere(flight)) await this.#arrival(flight, signal);
      const copy = flight && this.#copies.get(flight);
      const fence = backend.submit(list, step, copy ? [copy] : [], index);
      this.#last = fence;
      if (flight) this.#use(flight, fence);
      this.watcher?.compute(transfer, fence);
    }
    return this.#last!;
  }

  /** Backend.submitDrawn() of a pass whose weights are all resident; null of others. */
  submitDrawn(step: StepBuffer, candidates: DeviceRange, sampling: NextSampling): DrawnPass | null {
    const { backend } = this.parts;
    const { list, segments } = this.recordingFor(step.rows);
    if (!backend.submitDrawn || segments.length > 1) return null;
    const chosen = sampling();
    const pass = chosen && backend.submitDrawn(list, step, candidates, chosen);
    if (pass === null) return null;
    this.#last = pass.fence;
    this.watcher?.compute(null, pass.fence);
    return pass;
  }

  /** Reads and copies as far ahead as there is room. To be called when the result of a pass has been asked for. */
  ahead(): void {
    if (this.#stopped || this.#alone) return;
    for (let flight = this.#ring.nextFill(); flight; flight = this.#ring.nextFill()) this.#fill(flight);
    for (let flight = this.#ring.nextRead(); flight; flight = this.#ring.nextRead()) void this.#read(flight);
  }

  /**
   * Reads what a pass of one row reads, as passes do and round and round, with nothing beside it; then ahead again. Between
   * passes only. Rejects with NtxError('io') when a unit cannot be read, and with NtxError('cancelled').
   * @returns seconds for what one pass reads; null where it reads nothing
   */
  async readAlone(seconds: number, signal?: AbortSignal): Promise<number | null> {
    const reads = this.recordingFor(1).transfers.filter(({ staging }) => staging !== null);
    if (reads.length === 0) return null;
    this.#ring.reset();
    this.#alone = true;
    try {
      return await this.#readRounds(reads, 1000 * seconds, signal);
    } finally {
      this.#alone = false;
      this.start();
    }
  }

  /** What passes of so many rows run. */
  recordingFor(rows: number): Recording {
    const { recordings } = this.parts;
    return recordings.find(({ maxRows }) => rows <= maxRows) ?? recordings.at(-1)!;
  }

  /** The pass that waits for a read ends; nothing is begun any more. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /** When the device has done all that was enqueued. */
  async idle(): Promise<void> {
    const fences = [...this.#copies.values(), ...(this.#last ? [this.#last] : [])];
    await Promise.all(fences.map((fence) => this.parts.backend.wait(fence)));
  }

  #begin(transfers: readonly Transfer[]): void {
    this.#pass++;
    this.#ring.begin(transfers);
    for (const flight of this.#copies.keys()) if (flight.stage !== 'filled') this.#copies.delete(flight);
  }

  #fill(flight: Flight): void {
    const { transfer } = flight;
    const slot = transfer.slot!;
    const fence = this.parts.tierOf(transfer).copy(transfer, this.parts.slots[slot], this.#used[slot]);
    this.#ring.fill(flight);
    this.#copies.set(flight, fence);
    this.watcher?.copy(transfer, fence);
  }

  async #read(flight: Flight): Promise<void> {
    const { transfer } = flight;
    const pass = this.#pass;
    this.#ring.startRead(flight);
    let began = 0;
    const onBegin = () => {
      began = performance.now();
    };
    try {
      await this.parts.tierOf(transfer).fetch!(transfer, onBegin);
      this.watcher?.read(transfer, began, performance.now());
      this.#ring.endRead(flight, 'read');
      this.ahead();
    } catch (error) {
      // What was read ahead in another pass may be well again in this one: it is asked for once more before the pass fails.
      const isOld = pass !== this.#pass;
      if (!isOld) this.#failures.set(flight, error);
      this.#ring.endRead(flight, isOld ? 'again' : 'failed');
      if (isOld) this.ahead();
    }
    this.#wake();
  }

  /** Seconds for what one pass reads. */
  async #readRounds(reads: readonly Transfer[], milliseconds: number, signal?: AbortSignal): Promise<number> {
    const fetch = (transfer: Transfer) => this.parts.tierOf(transfer).fetch!(transfer, () => {});
    // What was under way ends before these.
    await inLanes(reads, ([first]) => fetch(first));
    const began = performance.now();
    let bytes = 0;
    await inLanes(reads, async (lane, isOver) => {
      for (let i = 1; performance.now() - began < milliseconds && !isOver(); i++) {
        this.#requireWanted(signal);
        const transfer = lane[i % lane.length];
        await fetch(transfer);
        bytes += bytesRead([transfer]);
      }
    });
    return ((performance.now() - began) / 1000) * (bytesRead(reads) / bytes);
  }

  #use(flight: Flight, fence: Fence): void {
    const { transfer } = flight;
    if (transfer.slot === null) this.parts.tierOf(transfer).release!(transfer, fence);
    else this.#used[transfer.slot] = fence;
    this.#ring.use(flight);
    this.#copies.delete(flight);
  }

  /** What the device is given meanwhile are copies: nothing of the pass but the unit's result is waited for. */
  async #onCpu(unit: number, rows: number, signal: AbortSignal | undefined): Promise<void> {
    const { cpu } = this.parts;
    const computed = cpu!.compute(unit, rows);
    this.watcher?.cpu(unit, cpu!.span());
    this.ahead();
    await computed;
    this.#requireWanted(signal);
  }

  /** Waits for a unit that is being read. */
  async #arrival(flight: Flight, signal: AbortSignal | undefined): Promise<void> {
    const onAbort = () => this.#wake();
    signal?.addEventListener('abort', onAbort);
    try {
      while (!isThere(flight)) {
        if (this.#failures.has(flight)) throw this.#failures.get(flight);
        this.#requireWanted(signal);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #requireWanted(signal: AbortSignal | undefined): void {
    if (this.#stopped) throw new NtxError('cancelled', 'the model was disposed during a pass', 'load it again');
    if (signal?.aborted) throw new NtxError('cancelled', 'the pass was stopped', 'run the command again');
  }
}
