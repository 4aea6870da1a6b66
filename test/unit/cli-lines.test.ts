import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createLines, type Line } from '../../src/cli/lines.js';

/** A terminal that a test types into, and that remembers its modes. */
function terminal() {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) });
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let shown = '';
  output.setEncoding('utf8').on('data', (text) => {
    shown += text;
  });
  const lines = createLines(input as unknown as NodeJS.ReadStream, output);
  return {
    lines,
    modes,
    shown: () => shown,
    /** What a read of a line gives when this is typed. */
    async read(...keys: string[]): Promise<Line> {
      const line = lines.next('> ');
      for (const key of keys) input.write(key);
      return line;
    },
  };
}

const CTRL_C = '\x03';
const CTRL_D = '\x04';
const UP = '\x1b[A';
const BACKSPACE = '\x7f';
const [PASTE, PASTED] = ['\x1b[200~', '\x1b[201~'];
const [ASK_FOR_PASTES, NO_MORE_PASTES] = ['\x1b[?2004h', '\x1b[?2004l'];

describe('lines from a terminal', () => {
  test('are what was typed, echoed once, with raw mode only meanwhile', async () => {
    const { read, modes, shown } = terminal();
    for (const text of ['first', 'second', 'third']) expect(await read(text, '\r')).toEqual({ text });
    expect(shown().match(/second/g)).toHaveLength(1);
    expect(shown().match(/third/g)).toHaveLength(1);
    expect(modes).toEqual([true, false, true, false, true, false]);
  });

  test('come back from the history', async () => {
    const { read } = terminal();
    await read('first', '\r');
    await read('second', '\r');
    expect(await read(UP, UP, '\r')).toEqual({ text: 'first' });
  });

  test('Ctrl-C clears a line that was begun, and leaves an empty one', async () => {
    const { read } = terminal();
    expect(await read('begun', CTRL_C, 'anew', '\r')).toEqual({ text: 'anew' });
    expect(await read(CTRL_C)).toBe('interrupt');
    expect(await read('still here', '\r')).toEqual({ text: 'still here' });
  });

  test('typed ahead together come one by one, and what was begun can be edited', async () => {
    const { read } = terminal();
    expect(await read('one\rtwo\rthr')).toEqual({ text: 'one' });
    expect(await read()).toEqual({ text: 'two' });
    expect(await read('ee', BACKSPACE, 'E\r')).toEqual({ text: 'threE' });
  });

  test('that are pasted are one text, to which Enter belongs', async () => {
    const { read, shown } = terminal();
    expect(await read('say: ', `${PASTE}one\r\rtwo`, `\rthree${PASTED}`, '!\r')).toEqual({
      text: 'say: one\n\ntwo\nthree!',
    });
    expect(await read('next', '\r')).toEqual({ text: 'next' });
    expect(shown().split(ASK_FOR_PASTES)).toHaveLength(3);
    expect(shown().split(NO_MORE_PASTES)).toHaveLength(3);
  });

  test('Ctrl-C clears what was pasted', async () => {
    const { read } = terminal();
    expect(await read(`${PASTE}one\r${PASTED}`, CTRL_C, 'anew\r')).toEqual({ text: 'anew' });
  });

  test('Ctrl-D ends', async () => {
    expect(await terminal().read(CTRL_D)).toBe('end');
  });
});

describe('lines from a pipe', () => {
  test('come one by one, the last without its end, then the end', async () => {
    const input = new PassThrough();
    const lines = createLines(input as unknown as NodeJS.ReadStream, new PassThrough());
    input.end('one\r\ntwo\n\nthree');
    const all: Line[] = [];
    for (let line = await lines.next('> '); line !== 'end'; line = await lines.next('> ')) all.push(line);
    expect(all).toEqual(['one', 'two', '', 'three'].map((text) => ({ text })));
  });

  test('close stops reading', async () => {
    const input = new PassThrough();
    const lines = createLines(input as unknown as NodeJS.ReadStream, new PassThrough());
    const line = lines.next('> ');
    lines.close();
    expect(await line).toBe('end');
    input.end();
    await once(input.resume(), 'end');
  });
});
