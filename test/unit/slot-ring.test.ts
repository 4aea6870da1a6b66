import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transfer } from '../../src/placement/plan.js';
import { type Flight, isThere, SlotRing } from '../../src/streaming/slot-ring.js';

const SLOTS = 3;
const STAGING = 2;

const transfers = fc
  .array(fc.record({ slot: fc.option(fc.nat(SLOTS - 1)), staging: fc.option(fc.nat(STAGING - 1)) }), { maxLength: 7 })
  .map((cells) =>
    cells.map(
      ({ slot, staging }, unit): Transfer => ({
        unit,
        slot,
        staging: slot === null ? (staging ?? 0) : staging,
        extents: [],
      }),
    ),
  );

/** The bytes of every cell, as who wrote them last; whoever uses them finds out what the ring let happen. */
class Machine {
  readonly ring = new SlotRing(SLOTS, STAGING);
  readonly slots: (number | null)[] = new Array(SLOTS).fill(null);
  readonly staging: (number | null)[] = new Array(STAGING).fill(null);
  readonly reading: Flight[] = [];
  readonly used: number[] = [];

  read(): boolean {
    const flight = this.ring.nextRead();
    if (!flight) return false;
    // Somebody may still read for a flight that was given up, never for one that is wanted.
    const cell = flight.transfer.staging!;
    expect(this.reading.some(({ stage, transfer }) => stage === 'reading' && transfer.staging === cell)).toBe(false);
    this.ring.startRead(flight);
    this.reading.push(flight);
    return true;
  }

  endRead(which: number, outcome: 'read' | 'failed' | 'again'): boolean {
    if (this.reading.length === 0) return false;
    const [flight] = this.reading.splice(which % this.reading.length, 1);
    const comes = outcome === 'read' && flight.stage === 'reading';
    if (comes) this.staging[flight.transfer.staging!] = flight.transfer.unit;
    this.ring.endRead(flight, outcome);
    return true;
  }

  fill(): boolean {
    const flight = this.ring.nextFill();
    if (!flight) return false;
    const { unit, slot, staging } = flight.transfer;
    if (staging !== null) expect(this.staging[staging]).toBe(unit);
    this.slots[slot!] = unit;
    this.ring.fill(flight);
    return true;
  }

  /** Uses the next transfer, if it is there. */
  use(): boolean {
    const flight = this.ring.nextUse();
    if (!isThere(flight)) return false;
    const { unit, slot, staging } = flight.transfer;
    expect(slot === null ? this.staging[staging!] : this.slots[slot]).toBe(unit);
    this.ring.use(flight);
    this.used.push(unit);
    return true;
  }
}

const ENDS = { end: 'read', fail: 'failed', again: 'again' } as const;
type Action = keyof typeof ENDS | 'read' | 'fill' | 'use';

describe('the slot ring', () => {
  test('uses every unit in order with its own bytes, whatever runs ahead, fails or is given up', () => {
    const passes = fc.array(
      fc.record({
        order: fc.nat(2),
        /** What happens before the pass is driven to its end. */
        actions: fc.array(fc.tuple(fc.constantFrom<Action>('read', 'end', 'fail', 'again', 'fill', 'use'), fc.nat(5)), {
          maxLength: 30,
        }),
        givenUp: fc.boolean(),
      }),
      { minLength: 1, maxLength: 8 },
    );
    const orders = fc.tuple(transfers, transfers, transfers);
    fc.assert(
      fc.property(orders, passes, (choice, wanted) => {
        const machine = new Machine();
        for (const { order: index, actions, givenUp } of wanted) {
          const order = choice[index];
          machine.ring.begin(order);
          machine.used.length = 0;
          const act = { read: () => machine.read(), fill: () => machine.fill() };
          for (const [action, which] of actions) {
            if (action === 'end' || action === 'fail' || action === 'again') machine.endRead(which, ENDS[action]);
            else if (action !== 'use') act[action]();
            else if (machine.used.length < order.length) machine.use();
          }
          if (givenUp) continue;
          drive(machine, order);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('reads on in other buffers while a transfer waits for its own', () => {
    const order = [0, 0, 1].map((staging, unit): Transfer => ({ unit, slot: null, staging, extents: [] }));
    const machine = new Machine();
    machine.ring.begin(order);
    const units = () => machine.reading.map(({ transfer }) => transfer.unit);
    while (machine.read()) {}
    // Unit 1 has to wait for unit 0 to be used.
    expect(units()).toEqual([0, 2]);
    machine.endRead(0, 'read');
    expect([machine.read(), machine.use(), machine.read(), machine.read()]).toEqual([false, true, true, false]);
    expect(units()).toEqual([2, 1]);
    machine.endRead(1, 'read');
    expect([machine.use(), machine.use()]).toEqual([true, false]);
    // Unit 0 of the next pass.
    expect([machine.read(), units()]).toEqual([true, [2, 0]]);
  });

  test('prefetches across the end of a pass, and keeps that when the next pass begins', () => {
    const order = [0, 1, 2].map((unit): Transfer => ({ unit, slot: unit % 2, staging: null, extents: [] }));
    const machine = new Machine();
    machine.ring.begin(order);
    while (machine.used.length < 3) if (!machine.fill()) machine.use();
    // Slots 0 and 1: units 0 and 1 of the next pass.
    while (machine.fill()) {}
    expect(machine.slots.slice(0, 2)).toEqual([0, 1]);
    machine.ring.begin([...order]);
    expect(machine.use() && machine.use()).toBe(true);
    expect(machine.ring.nextFill()?.transfer.unit).toBe(2);
  });

  test('drops what was fetched for another order', () => {
    const order = [0, 1].map((unit): Transfer => ({ unit, slot: unit, staging: null, extents: [] }));
    const machine = new Machine();
    machine.ring.begin(order);
    machine.fill();
    machine.fill();
    machine.ring.begin([order[0], { ...order[1], slot: 2 }]);
    expect(machine.use()).toBe(true);
    expect(machine.use()).toBe(false);
    expect(machine.fill() && machine.use()).toBe(true);
  });

  test('refuses what is out of turn', () => {
    const order = [0, 1].map((unit): Transfer => ({ unit, slot: 0, staging: 0, extents: [] }));
    const { ring } = new Machine();
    ring.begin(order);
    const flight = ring.nextUse();
    expect(() => ring.use(flight)).toThrow(/unit 0 cannot be used now: it is waiting/);
    expect(() => ring.fill(flight)).toThrow(/filled/);
    ring.startRead(flight);
    expect(() => ring.startRead(flight)).toThrow(/read/);
    expect(ring.nextRead()).toBe(null);
  });
});

/** Ends a pass as a streamer does; a read that failed makes it begin the rest anew. */
function drive(machine: Machine, order: readonly Transfer[]): void {
  for (let idle = 0; machine.used.length < order.length; ) {
    const failed = machine.ring.nextUse().stage === 'failed';
    if (failed) {
      machine.ring.begin(order);
      machine.used.length = 0;
    }
    const moved = [machine.fill(), machine.read(), machine.endRead(0, 'read'), machine.use()].includes(true);
    idle = moved ? 0 : idle + 1;
    expect(idle, 'steps without any progress').toBeLessThan(3);
  }
  expect(machine.used).toEqual(order.map(({ unit }) => unit));
}
