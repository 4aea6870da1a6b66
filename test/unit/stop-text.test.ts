import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopText } from '../../src/stop-text.js';

/** All pieces through one watcher: what was shown, and whether a stop text came. */
function feed(pieces: readonly string[], stops: readonly string[]): { shown: string[]; stopped: boolean } {
  const watcher = new StopText(stops);
  const shown: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = watcher.push(piece);
    shown.push(text);
    if (stopped) return { shown, stopped };
  }
  return { shown: [...shown, watcher.end()], stopped: false };
}

describe('stop texts', () => {
  test('without any, text passes as it comes', () => {
    expect(feed(['ab', '', 'c'], [])).toEqual({ shown: ['ab', '', 'c', ''], stopped: false });
    expect(feed(['ab'], [''])).toEqual({ shown: ['ab', ''], stopped: false });
  });

  test('one that arrives in pieces is not shown, nor anything after it', () => {
    expect(feed(['one <', 'en', 'd> two'], ['<end>'])).toEqual({ shown: ['one ', '', ''], stopped: true });
  });

  test('what only looks like one is shown as soon as that is known', () => {
    expect(feed(['a <e', 'x b'], ['<end>'])).toEqual({ shown: ['a ', '<ex b', ''], stopped: false });
    expect(feed(['aa', 'b'], ['aab', 'aac'])).toEqual({ shown: ['', ''], stopped: true });
    expect(feed(['aaa', 'b'], ['aab'])).toEqual({ shown: ['a', ''], stopped: true });
  });

  test('a beginning that nothing follows is shown at the end', () => {
    expect(feed(['a <en'], ['<end>'])).toEqual({ shown: ['a ', '<en'], stopped: false });
  });

  test('how the text is cut into pieces never matters', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
    const stopTexts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 6 }), stopTexts, (pieces, stops) => {
        const all = pieces.join('');
        const { shown, stopped } = feed(pieces, stops);
        // The definition: the text up to the first end of a stop text, without that stop text.
        const ends = Array.from(all, (_, i) => i + 1).filter((end) =>
          stops.some((stop) => all.slice(0, end).endsWith(stop)),
        );
        expect(stopped).toBe(ends.length > 0);
        if (!stopped) expect(shown.join('')).toBe(all);
        else {
          const before = all.slice(0, ends[0]);
          const longest = Math.max(...stops.filter((stop) => before.endsWith(stop)).map((stop) => stop.length));
          expect(shown.join('')).toBe(before.slice(0, before.length - longest));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
