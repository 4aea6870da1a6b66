import { setTimeout as sleep } from 'node:timers/promises';
import type { Program } from './list.js';

/**
 * A timer may be late by a millisecond, and a core that slept takes longer for the next submit: only passes that take several
 * times as long are slept through.
 */
const MARGIN_MS = 4;
const MARGIN_SHARE = 0.1;
/** A result that is there so soon after it was asked for was there before: nobody knows since when. */
const OVERSLEPT_MS = 2;

interface Running {
  readonly program: Program;
  readonly started: number;
  /** When its result was asked for, and whether its time was slept through before. */
  asked: number;
  slept: boolean;
}

/**
 * When to ask for a pass's result. From the moment that somebody waits for it, Dawn for Node asks the driver in every turn of
 * the event loop, and keeps a core busy. Passes of one program take about the same time: the thread sleeps through most of it.
 */
export class Pace {
  /** Of the shortest of the last passes, which grows by a little with each. */
  readonly #expected = new WeakMap<Program, number>();
  /** Programs that a pass of has ended. */
  readonly #begun = new WeakSet<Program>();
  #running: Running | null = null;
  /** Submitted behind the running one. */
  #next: Program | null = null;

  start(program: Program): void {
    const now = performance.now();
    this.#running = { program, started: now, asked: now, slept: false };
    this.#next = null;
  }

  /** A pass is submitted while the result of the one in front of it is still to be asked for: it begins when that has ended. */
  follow(program: Program): void {
    this.#next = program;
  }

  /** Resolves shortly before the running pass is expected to end. */
  async rest(): Promise<void> {
    if (!this.#running) return;
    const running = this.#running;
    const { program, started } = running;
    running.asked = performance.now();
    const expected = this.#expected.get(program) ?? 0;
    const left = expected - Math.max(MARGIN_MS, expected * MARGIN_SHARE) - (running.asked - started);
    if (left < 1) return;
    await sleep(Math.floor(left));
    running.slept = true;
    running.asked = performance.now();
  }

  /** Its result is there. */
  end(): void {
    const ended = this.#running;
    this.#running = null;
    if (this.#next) this.start(this.#next);
    if (!ended) return;
    const { program, started, asked, slept } = ended;
    const now = performance.now();
    const isLate = now - asked < OVERSLEPT_MS;
    // It had time while the host did something else.
    if (isLate && !slept) return;
    // The first pass of a program may take a hundred times as long as the others, where the driver compiles its kernels then.
    if (!this.#begun.has(program)) {
      this.#begun.add(program);
      return;
    }
    const took = (now - started) * (isLate ? 0.5 : 1);
    this.#expected.set(program, Math.min(took, (this.#expected.get(program) ?? took) * 1.01));
  }
}
