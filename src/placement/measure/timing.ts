// How probes take the time.

/** Seconds, from any beginning. */
export type Clock = () => number;

export const systemClock: Clock = () => performance.now() / 1000;

/** How long all probes together may take. */
export class Allowance {
  readonly #end: number;

  constructor(
    seconds: number,
    readonly now: Clock = systemClock,
  ) {
    this.#end = now() + seconds;
  }

  /** Seconds that are left; 0 at the end. */
  left(): number {
    return Math.max(0, this.#end - this.now());
  }

  /** The clock, with a part of what is left to spend. */
  share(part: number): Allowance {
    return new Allowance(this.left() * part, this.now);
  }
}

/** Of one figure: long enough to be beyond the jitter of a shared machine, short enough for a hundred figures. */
const CELL_SECONDS = 0.04;
const LEAST_RUNS = 2;
const MOST_RUNS = 6;

/**
 * Seconds of the fastest of several runs: what disturbs a run only makes it slower. The first warms up what is made once (drivers
 * compile kernels when they first run) and does not count; where one run takes longer than all should, the second is the last.
 */
export async function fastest(run: () => Promise<void>, now: Clock, seconds = CELL_SECONDS): Promise<number> {
  const begin = now();
  const first = await timed(run, now);
  if (first > seconds) return Math.min(first, await timed(run, now));
  let best = Number.POSITIVE_INFINITY;
  for (let runs = 0; runs < LEAST_RUNS || (runs < MOST_RUNS && now() - begin < seconds); runs++) {
    best = Math.min(best, await timed(run, now));
  }
  return best;
}

/** Repeats of `once` in one run, so that it takes long enough beside what it costs to wait for the device. */
const RUN_SECONDS = 0.006;
const MOST_REPEATS = 64;

/** Seconds of one repeat: `run(n)` does the work n times and waits for the end. */
export async function fastestOfMany(run: (repeats: number) => Promise<void>, now: Clock): Promise<number> {
  await run(1);
  const once = await timed(() => run(1), now);
  const repeats = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(RUN_SECONDS / Math.max(once, 1e-9))));
  if (repeats === 1 && once > CELL_SECONDS) return once;
  return (await fastest(() => run(repeats), now)) / repeats;
}

async function timed(run: () => Promise<void>, now: Clock): Promise<number> {
  const begin = now();
  await run();
  return now() - begin;
}
