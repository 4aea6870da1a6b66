import { describe, expect, it } from 'vitest';
import { outputBytes, readOutputs } from '../../src/backend/outputs.js';

/** The bytes of native/ops.h, OutputHeader and Candidates: f32, f32, u32, u32, then k of (u32, f32). */
function bytesOf(
  outputs: readonly { header: [number, number, number]; candidates: [number, number][] }[],
): ArrayBuffer {
  const k = Math.max(...outputs.map((output) => output.candidates.length));
  const view = new DataView(new ArrayBuffer(outputs.length * (16 + 8 * k)));
  outputs.forEach(({ header: [logSumExp, targetLogit, count], candidates }, o) => {
    const at = o * (16 + 8 * k);
    view.setFloat32(at, logSumExp, true);
    view.setFloat32(at + 4, targetLogit, true);
    view.setUint32(at + 8, count, true);
    view.setUint32(at + 12, 0xdead, true);
    candidates.forEach(([token, logit], i) => {
      view.setUint32(at + 16 + 8 * i, token, true);
      view.setFloat32(at + 20 + 8 * i, logit, true);
    });
  });
  return view.buffer;
}

const two = bytesOf([
  {
    header: [2.5, -1, 3],
    candidates: [
      [128255, 9],
      [0xfffffffe, 8.5],
      [0, -2],
    ],
  },
  {
    header: [-7, 0, 1],
    candidates: [
      [4, 1],
      [99, 99],
      [99, 99],
    ],
  },
]);

describe('outputs', () => {
  it('take a header of 16 bytes and 8 for each candidate', () => {
    expect([1, 3, 256].map(outputBytes)).toEqual([24, 40, 2064]);
  });

  it('are read as top-k writes them', () => {
    const [first] = readOutputs(two, 2, 3);
    expect(first.logSumExp).toBe(2.5);
    expect(first.targetLogit).toBe(-1);
    expect([...first.tokens]).toEqual([128255, 0xfffffffe, 0]);
    expect([...first.logits]).toEqual([9, 8.5, -2]);
  });

  it('have as many candidates as counted, not as there is room for', () => {
    const [, second] = readOutputs(two, 2, 3);
    expect(second.logSumExp).toBe(-7);
    expect([...second.tokens]).toEqual([4]);
    expect([...second.logits]).toEqual([1]);
  });

  it('are as many as were asked for', () => {
    expect(readOutputs(two, 0, 3)).toEqual([]);
    expect(readOutputs(two, 1, 3)).toHaveLength(1);
  });

  it('keep their values when the bytes change', () => {
    const bytes = two.slice(0);
    const [first] = readOutputs(bytes, 1, 3);
    new Uint8Array(bytes).fill(0);
    expect([...first.tokens]).toEqual([128255, 0xfffffffe, 0]);
  });
});
