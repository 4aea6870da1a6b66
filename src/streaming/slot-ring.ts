// Which transfer may be read, copied and used next: the schedule as a state machine, without memory, clocks or promises.
//
// A transfer goes through waiting -> reading -> read -> filled -> used. Fills, uses, and the reads into each staging buffer
// follow the order of the schedule, which repeats without end: the first transfers of the next pass follow the last of this
// one. A staging buffer is free again when its bytes have been copied (used, where kernels take them from there), a slot when
// its unit has been used.
import { NtxError } from '../errors.js';
import type { Transfer } from '../placement/plan.js';

export type Stage = 'waiting' | 'reading' | 'read' | 'failed' | 'filled' | 'used';

/** A transfer of one pass. Whoever reads or copies for it changes its stage through the ring. */
export interface Flight {
  readonly transfer: Transfer;
  readonly stage: Stage;
}

type OpenFlight = { -readonly [K in keyof Flight]: Flight[K] };

export class SlotRing {
  #order: readonly Transfer[] = [];
  /** Staging buffers that they are read into. */
  #buffers = 0;
  /** What is under way or was looked at, from the next to be used on, without gaps. */
  #flights: OpenFlight[] = [];
  /** Place in the order of the first of them. */
  #first = 0;
  readonly #slots: (OpenFlight | null)[];
  readonly #staging: (OpenFlight | null)[];

  constructor(slots: number, staging: number) {
    this.#slots = new Array(slots).fill(null);
    this.#staging = new Array(staging).fill(null);
  }

  /**
   * A pass with these transfers begins; the one before has used all of its own, or was given up. What has been fetched ahead
   * stays as far as it is what this pass begins with; reads that failed are begun anew.
   */
  begin(order: readonly Transfer[]): void {
    if (this.#first !== 0) this.reset();
    const kept = this.#flights.findIndex(
      ({ transfer, stage }, i) => stage === 'failed' || (order !== this.#order && !same(transfer, order[i])),
    );
    if (kept >= 0) this.#drop(kept);
    this.#order = order;
    this.#buffers = new Set(order.flatMap(({ staging }) => staging ?? [])).size;
  }

  /** Gives up what has not been used: the next pass fetches it anew. Reads that are under way may still end. */
  reset(): void {
    this.#drop(0);
    this.#first = 0;
  }

  /**
   * The first transfer to be read whose staging buffer is free, and of no transfer before it; null where all are in use. What
   * waits for its buffer holds up nothing in the others: a drive that rests is time lost.
   */
  nextRead(): Flight | null {
    const passed = new Set<number>();
    // The order repeats without end: every buffer of it comes up.
    for (let i = 0; passed.size < this.#buffers; i++) {
      const flight = this.#flight(i)!;
      const { staging } = flight.transfer;
      if (flight.stage !== 'waiting' || staging === null || passed.has(staging)) continue;
      if (this.#staging[staging] === null) return flight;
      passed.add(staging);
    }
    return null;
  }

  startRead(flight: Flight): void {
    this.#require(flight === this.nextRead(), 'read', flight);
    this.#staging[flight.transfer.staging!] = flight;
    (flight as OpenFlight).stage = 'reading';
  }

  /** `again`: it failed, and is to be begun anew. */
  endRead(flight: Flight, outcome: 'read' | 'failed' | 'again'): void {
    // It may have been given up meanwhile.
    if (flight.stage !== 'reading') return;
    if (outcome === 'again') this.#staging[flight.transfer.staging!] = null;
    (flight as OpenFlight).stage = outcome === 'again' ? 'waiting' : outcome;
  }

  /** The next transfer whose bytes go into its slot now; null while it has to wait for them, or for the slot. */
  nextFill(): Flight | null {
    for (let i = 0; ; i++) {
      const flight = this.#flight(i);
      if (!flight) return null;
      const { transfer, stage } = flight;
      if (stage === 'filled' || (transfer.slot === null && stage === 'read')) continue;
      const ready = stage === (transfer.staging === null ? 'waiting' : 'read');
      return ready && transfer.slot !== null && this.#slots[transfer.slot] === null ? flight : null;
    }
  }

  fill(flight: Flight): void {
    this.#require(flight === this.nextFill(), 'filled', flight);
    const { slot, staging } = flight.transfer;
    this.#slots[slot!] = flight;
    if (staging !== null) this.#staging[staging] = null;
    (flight as OpenFlight).stage = 'filled';
  }

  /** The transfer that the pass needs next; it may be used once `isThere`. */
  nextUse(): Flight {
    const flight = this.#flight(0);
    if (flight) return flight;
    throw new NtxError('internal', 'a pass without transfers asks for one', 'report this');
  }

  use(flight: Flight): void {
    this.#require(flight === this.#flights[0] && isThere(flight), 'used', flight);
    const { slot, staging } = flight.transfer;
    if (slot !== null) this.#slots[slot] = null;
    else this.#staging[staging!] = null;
    (flight as OpenFlight).stage = 'used';
    this.#flights.shift();
    this.#first = (this.#first + 1) % this.#order.length;
  }

  /** The flight that is used after `i` others; undefined where nothing is transferred. */
  #flight(i: number): OpenFlight | undefined {
    if (this.#order.length === 0) return undefined;
    while (this.#flights.length <= i) {
      const place = (this.#first + this.#flights.length) % this.#order.length;
      this.#flights.push({ transfer: this.#order[place], stage: 'waiting' });
    }
    return this.#flights[i];
  }

  #drop(from: number): void {
    const gone = new Set(this.#flights.splice(from));
    for (const cells of [this.#slots, this.#staging]) {
      cells.forEach((flight, i) => {
        if (flight !== null && gone.has(flight)) cells[i] = null;
      });
    }
    for (const flight of gone) flight.stage = 'used';
  }

  #require(holds: boolean, what: string, { transfer, stage }: Flight): void {
    if (holds) return;
    throw new NtxError('internal', `unit ${transfer.unit} cannot be ${what} now: it is ${stage}`, 'report this');
  }
}

/** Its bytes are where kernels take them from, or will be before what is submitted next. */
export function isThere({ transfer, stage }: Flight): boolean {
  return stage === (transfer.slot === null ? 'read' : 'filled');
}

function same(a: Transfer, b: Transfer | undefined): boolean {
  return a.unit === b?.unit && a.slot === b.slot && a.staging === b.staging;
}
