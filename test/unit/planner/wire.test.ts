// Both ends of the wire agree, and no words make the planner trap, hang or answer nonsense.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeAnswer, encodeRequest, KINDS } from '../../../src/placement/wire.js';
import { callPlanner, requests } from './requests.js';

const any = fc.oneof(requests({ units: [1, 8], classes: [1, 4] }), requests({ units: [1, 8], classes: [1, 4] }, true));

test('the planner reads a request as it was written', () => {
  fc.assert(
    fc.property(any, fc.constantFrom(...KINDS), fc.boolean(), (request, kind, isGiven) => {
      const words = encodeRequest(request, kind, isGiven ? request.units.map((_, unit) => unit % 4) : []);
      expect(callPlanner('echo', words)).toEqual(words);
    }),
  );
});

test('an answer has the words that its reader expects, and no more', () => {
  fc.assert(
    fc.property(any, fc.constantFrom(...KINDS), (request, kind) => {
      const words = callPlanner('plan', encodeRequest(request, kind));
      expect(['planned', 'no-room']).toContain(decodeAnswer(words, request).status);
      if (words.length <= 3) return;
      expect(() => decodeAnswer(words.subarray(0, -1), request)).toThrow('more words');
      expect(words.at(-1)).toBe(206);
    }),
    { numRuns: 300, endOnFailure: true },
  );
});

const STRANGE = [-1, 0, 0.5, 1, 3, 255, 2 ** 31, 2 ** 53, 1e300, -1e300, 1e-300, NaN, Infinity, -Infinity];

test('malformed requests get an error code or a plan, never a trap', () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(...STRANGE), fc.double())), { maxLength: 4 });
  fc.assert(
    fc.property(any, damage, fc.option(fc.nat()), fc.boolean(), (request, changes, cut, isGiven) => {
      const given = isGiven ? request.units.map((_, unit) => unit % 4) : [];
      let words = encodeRequest({ ...request, rings: undefined }, 'free', given);
      for (const [at, value] of changes) words[at % words.length] = value;
      if (cut !== null) words = words.subarray(0, cut % words.length);
      const [tag, version, status, word] = callPlanner('plan', words);
      expect([tag, version]).toEqual([0x616e7377, 4]);
      expect([0, 1, 2]).toContain(status);
      if (status !== 1) return;
      expect(word).toBeGreaterThanOrEqual(0);
      expect(word).toBeLessThanOrEqual(words.length);
    }),
    { numRuns: 3000, endOnFailure: true },
  );
});

test('random words are malformed', () => {
  fc.assert(
    fc.property(fc.float64Array({ maxLength: 200 }), (words) => {
      expect(callPlanner('plan', words)[2]).toBe(1);
    }),
  );
});
