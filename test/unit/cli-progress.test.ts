import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { bytesLine, KERNELS_LINE, Progress } from '../../src/cli/progress.js';

/** What a bar wrote to a stream, without the sequences that move the cursor and clear lines. */
function screen(isTTY: boolean) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  let text = '';
  stream.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with Escape
  const shown = () => text.replaceAll(/\u001b\[[\d?;]*[A-Za-z]/g, '');
  return { stream: stream as unknown as NodeJS.WriteStream, shown };
}

const LONG_AGO = () => performance.now() - 60_000;

describe('progress', () => {
  test('counts kernels', async () => {
    const { stream, shown } = screen(true);
    const progress = new Progress(KERNELS_LINE, LONG_AGO(), stream);
    progress.update(3, 40);
    await expect.poll(shown).toMatch(/compiling kernels .* 3 of 40/);
    progress.update(39, 40);
    // A bar is drawn several times a second.
    await expect.poll(shown).toMatch(/39 of 40/);
    progress.end();
  });

  test('shows bytes and their rate', async () => {
    const { stream, shown } = screen(true);
    const progress = new Progress(bytesLine('loading'), LONG_AGO(), stream);
    progress.update(2 ** 30, 2 ** 32);
    await expect.poll(shown).toMatch(/loading .* 25% \| 1 GiB of 4 GiB \| 17(\.\d)? MiB\/s/);
    progress.end();
  });

  test('says nothing where nobody watches, before a second is over, and after the end', async () => {
    const screens = [screen(false), screen(true), screen(true)];
    const [unwatched, quick, ended] = [LONG_AGO(), performance.now(), LONG_AGO()].map(
      (started, i) => new Progress(KERNELS_LINE, started, screens[i].stream),
    );
    for (const progress of [unwatched, quick, ended]) progress.update(1, 2);
    ended.end();
    await sleep(400);
    for (const progress of [unwatched, quick]) progress.end();
    expect(screens.map(({ shown }) => shown())).toEqual(['', '', '']);
  });
});
