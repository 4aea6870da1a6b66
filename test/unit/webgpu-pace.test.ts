import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Program } from '../../src/backend/webgpu/list.js';
import { Pace } from '../../src/backend/webgpu/pace.js';

const slept: number[] = [];
let now = 0;
vi.mock('node:timers/promises', () => ({
  setTimeout: async (ms: number) => {
    slept.push(ms);
    now += ms;
  },
}));

beforeEach(() => {
  slept.length = 0;
  now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

/** Passes of one program that take so long; the last is asked for after `busy` milliseconds of other work. */
async function passes(took: number, busy: number): Promise<void> {
  const pace = new Pace();
  const program = {} as Program;
  for (const work of [0, 0, busy]) {
    const started = now;
    pace.start(program);
    now += work;
    await pace.rest();
    now = started + took;
    pace.end();
  }
}

test('sleeps through most of a long pass, when it has seen one behind the first', async () => {
  await passes(100, 2);
  expect(slept).toEqual([88]);
});

test('polls a short pass at once: a timer would be late', async () => {
  await passes(4.5, 0);
  expect(slept).toEqual([]);
});

test('does not sleep by a first pass, which may have been compiled in', async () => {
  const pace = new Pace();
  const program = {} as Program;
  for (const took of [1000, ...new Array(3).fill(20)]) {
    const started = now;
    pace.start(program);
    await pace.rest();
    now = Math.max(now, started + took);
    pace.end();
  }
  expect(slept).toEqual([16, 16]);
});

test('soon sleeps less where passes become shorter', async () => {
  const pace = new Pace();
  const program = {} as Program;
  for (const took of [1000, 1000, ...new Array(9).fill(20)]) {
    const started = now;
    pace.start(program);
    await pace.rest();
    now = Math.max(now, started + took);
    pace.end();
  }
  expect(slept[0]).toBe(900);
  expect(slept.at(-1)).toBeLessThan(30);
});

test('does not sleep where other work has taken the time', async () => {
  await passes(20, 16);
  expect(slept).toEqual([]);
});

test('sleeps through passes that follow each other without the host, and takes no prompt for one of them', async () => {
  const pace = new Pace();
  const [prompt, decode] = [{}, {}] as [Program, Program];
  pace.start(prompt);
  let ends = 5000;
  for (let pass = 0; pass < 5; pass++) {
    pace.follow(decode);
    await pace.rest();
    now = Math.max(now, ends);
    pace.end();
    ends += 100;
  }
  // Neither the prompt nor the first two passes behind it were known.
  expect(slept).toEqual([90, 90]);
});

test('learns nothing of a result that was there before anybody asked for it', async () => {
  const pace = new Pace();
  const program = {} as Program;
  pace.start(program);
  for (const busy of [1000, 1000, 0, 0, 0]) {
    pace.follow(program);
    now += busy;
    await pace.rest();
    now += busy > 0 ? 0 : 20;
    pace.end();
  }
  expect(slept).toEqual([16]);
});

test('what was to follow is forgotten where another pass is submitted', async () => {
  const pace = new Pace();
  const [long, short] = [{}, {}] as [Program, Program];
  for (let pass = 0; pass < 2; pass++) {
    pace.start(long);
    pace.follow(long);
    pace.start(short);
    now += 30;
    pace.end();
    pace.end();
  }
  pace.start(short);
  await pace.rest();
  expect(slept).toEqual([26]);
});
