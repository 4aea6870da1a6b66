import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from './list.js';

/**
 * A timer may be late by a millisecond, and a core that slept takes longer for the next submit: only passes that take several
 * times as long are slept through.
 */
const MARGIN_MS = 4;
const MARGIN_SHARE = 0.1;
/** A result that is there so soon after waking was there before: nobody knows since when. */
const OVERSLEPT_MS = 2;

/**
 * When to ask for a pass's result. From the moment that somebody waits for it, Dawn for Node asks the driver in every turn of
 * the event loop, and keeps a core busy. Passes of one program take about the same time: the thread sleeps through most of it.
 */
export class Pace {
  /** Of the shortest of the last passes, which grows by a little with each. */
  readonly #expected = new WeakMap<Program, number>();
  #running: { readonly program: Program; readonly started: number; woke: number | null } | null = null;

  start(program: Program): void {
    this.#running = { program, started: performance.now(), woke: null };
  }

  /** Resolves shortly before the running pass is expected to end. */
  async rest(): Promise<void> {
    if (!this.#running) return;
    const running = this.#running;
    const { program, started } = running;
    const expected = this.#expected.get(program) ?? 0;
    const left = expected - Math.max(MARGIN_MS, expected * MARGIN_SHARE) - (performance.now() - started);
    if (left < 1) return;
    await sleep(Math.floor(left));
    running.woke = performance.now();
  }

  /** Its result is there. */
  end(): void {
    if (!this.#running) return;
    const { program, started, woke } = this.#running;
    this.#running = null;
    const now = performance.now();
    // The first pass of a program may take many times as long as the others: what sleeps by it comes down in a few passes.
    const took = (now - started) * (woke !== null && now - woke < OVERSLEPT_MS ? 0.5 : 1);
    this.#expected.set(program, Math.min(took, (this.#expected.get(program) ?? took) * 1.01));
  }
}
