import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Progress, progressLine, type Work } from '../../src/cli/progress.js';

/** What a bar wrote to a stream, without the sequences that move the cursor and clear lines. */
function screen(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  let text = '';
  stream.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with Escape
  const shown = () => text.replaceAll(/\u001b\[[\d?;]*[A-Za-z]/g, '');
  const lines = () => text.split('\n').length - 1;
  return { stream: stream as unknown as NodeJS.WriteStream, shown, lines };
}

const LONG_AGO = () => performance.now() - 60_000;
const VRAM: Work = { title: 'loading VRAM', unit: 'bytes' };
const RAM: Work = { title: 'loading RAM', unit: 'bytes' };
const KERNELS: Work = { title: 'compiling', unit: 'pieces' };

describe('progress', () => {
  test('counts kernels', async () => {
    const { stream, shown } = screen(true);
    const progress = new Progress(LONG_AGO(), stream);
    progress.update(KERNELS, 3, 40);
    await expect.poll(shown).toMatch(/compiling .* 3 of 40/);
    progress.update(KERNELS, 39, 40);
    // A bar is drawn several times a second.
    await expect.poll(shown).toMatch(/39 of 40/);
    progress.end();
  });

  test('shows a bar for each tier, under each other', async () => {
    const { stream, shown, lines } = screen(true);
    const progress = new Progress(LONG_AGO(), stream);
    progress.update(VRAM, 0, 2 ** 32);
    progress.update(RAM, 0, 2 ** 30);
    await sleep(20);
    progress.update(VRAM, 2 ** 30, 2 ** 32);
    await expect.poll(shown).toMatch(/loading VRAM █+░+ +25% \| 1 GiB of 4 GiB \| [\d.]+ [MG]iB\/s \| 1s left/);
    progress.update(RAM, 2 ** 30, 2 ** 30);
    await expect.poll(shown).toMatch(/loading RAM +█+ 100% \| 1 GiB of 1 GiB \| [\d.]+ [MG]iB\/s \| done/);
    progress.end();
    expect(lines()).toBeGreaterThan(0);
  });

  test('says nothing where nobody watches, before a second is over, and after the end', async () => {
    const screens = [screen(false), screen(true), screen(true)];
    const [unwatched, quick, ended] = [LONG_AGO(), performance.now(), LONG_AGO()].map(
      (started, i) => new Progress(started, screens[i].stream),
    );
    for (const progress of [unwatched, quick, ended]) progress.update(KERNELS, 1, 2);
    ended.end();
    await sleep(400);
    for (const progress of [unwatched, quick]) progress.end();
    expect(screens.map(({ shown }) => shown())).toEqual(['', '', '']);
  });

  test('says nothing on a terminal that cannot move its cursor', async () => {
    vi.stubEnv('TERM', 'dumb');
    const { stream, shown } = screen(true);
    const progress = new Progress(LONG_AGO(), stream);
    progress.update(VRAM, 1, 2);
    await sleep(400);
    progress.end();
    vi.unstubAllEnvs();
    expect(shown()).toBe('');
  });
});

describe('a line of progress', () => {
  const state = { work: VRAM, began: 0, before: 0, at: 1000, done: 2 ** 30, total: 2 ** 32 };

  test('tells bytes, rate and time left', () => {
    const line = (seconds: number) => progressLine(state, 1000 * seconds, 80);
    expect(line(1)).toBe('loading VRAM █████░░░░░░░░░░░░░░░  25% | 1 GiB of 4 GiB | 1 GiB/s | 3s left');
    expect(line(64)).toMatch(/\| 16 MiB\/s \| 3m 12s left$/);
    expect(line(6400)).toMatch(/\| 163\.8 KiB\/s \| 5h 20m left$/);
    // Nothing has come yet.
    expect(progressLine({ ...state, done: 0 }, 0, 80)).toMatch(/ 0% \| 0 B of 4 GiB \| 0 B\/s$/);
    expect(progressLine({ ...state, done: 2 ** 32 }, 9000, 80)).toMatch(/█{20} 100% .* \| 4 GiB\/s \| done$/);
  });

  test('counts from what there was when it was told of first', () => {
    expect(progressLine({ ...state, before: 2 ** 29 }, 1000, 80)).toContain('| 512 MiB/s | 6s left');
  });

  test('fits into 80 columns, whatever its numbers, and has no colours', () => {
    const amount = fc.nat({ max: 2 ** 43 });
    fc.assert(
      fc.property(amount, amount, fc.integer({ min: 60, max: 1e7 }), (a, b, milliseconds) => {
        const [done, total] = [Math.min(a, b), Math.max(a, b)];
        const line = progressLine({ ...state, done, total }, milliseconds, 80);
        expect(line.length).toBeLessThan(80);
        expect(line).not.toContain('\u001b');
      }),
    );
  });
});
