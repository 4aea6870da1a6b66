import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StepBuffer } from '../../src/backend/step.js';

describe('StepBuffer', () => {
  it('has the layout of native/ops.h: header, maxRows rows, maxOutputs outputs', () => {
    const step = new StepBuffer(3, 2);
    expect(step.addRow(11, 12, 1)).toBe(0);
    expect(step.addRow(21, 22, 2)).toBe(1);
    expect(step.addOutput(1)).toBe(0);
    expect(step.addOutput(0, 77)).toBe(1);
    const header = [2, 2, 0, 0];
    const rows = [11, 12, 1, 0, 21, 22, 2, 0, 0, 0, 0, 0];
    expect([...step.words]).toEqual([...header, ...rows, 1, 0xffffffff, 0, 77]);
  });

  it('gives back what was added', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    const rows = fc.array(fc.tuple(word, word, word), { minLength: 1, maxLength: 20 });
    const outputs = fc.array(fc.tuple(word, fc.option(fc.integer({ min: 0, max: 0xfffffffe }))), { maxLength: 5 });
    fc.assert(
      fc.property(rows, outputs, (someRows, someOutputs) => {
        const step = new StepBuffer(20, 5);
        for (const [token, position, slot] of someRows) step.addRow(token, position, slot);
        for (const [row, target] of someOutputs) step.addOutput(row, target ?? undefined);
        expect([step.rows, step.outputs]).toEqual([someRows.length, someOutputs.length]);
        expect(someRows.map((_, r) => step.row(r))).toEqual(
          someRows.map(([token, position, slot]) => ({ token, position, slot })),
        );
        expect(someOutputs.map((_, o) => step.output(o))).toEqual(
          someOutputs.map(([row, target]) => ({ row, target })),
        );
      }),
    );
  });

  it('takes token 0 as a target', () => {
    const step = new StepBuffer(1, 1);
    step.addOutput(0, 0);
    expect(step.output(0)).toEqual({ row: 0, target: 0 });
  });

  it('is empty after clear(), and overwrites what was there', () => {
    const step = new StepBuffer(2, 1);
    step.addRow(1, 2, 3);
    step.addOutput(0, 4);
    step.clear();
    expect([step.rows, step.outputs]).toEqual([0, 0]);
    expect(step.addRow(5, 6, 7)).toBe(0);
    expect(step.addOutput(0)).toBe(0);
    expect(step.row(0)).toEqual({ token: 5, position: 6, slot: 7 });
    expect(step.output(0)).toEqual({ row: 0, target: null });
  });

  it('refuses a row and an output too many, and stays as it was', () => {
    const step = new StepBuffer(1, 1);
    step.addRow(1, 2, 0);
    step.addOutput(0);
    const before = [...step.words];
    expect(() => step.addRow(1, 3, 0)).toThrowError(expect.objectContaining({ code: 'internal' }));
    expect(() => step.addOutput(0)).toThrowError(expect.objectContaining({ code: 'internal' }));
    expect([...step.words]).toEqual(before);
  });
});
