import { NtxError } from '../errors.js';
import type { Bindings, PassSizes } from './backend.js';
import type { Op } from './ops.js';
import type { StepBuffer } from './step.js';

/** What the values of a step buffer must stay below, so that no kernel reads or writes outside of its memory. */
export interface StepLimits {
  readonly sizes: PassSizes;
  /** Rows of the smallest embedding table; infinite where a list embeds nothing. */
  readonly tokens: number;
  /** Logits of the narrowest top-k; infinite where a list has none. */
  readonly targets: number;
}

export function stepLimits(ops: readonly Op[], bindings: Bindings): StepLimits {
  let tokens = Number.POSITIVE_INFINITY;
  let targets = Number.POSITIVE_INFINITY;
  for (const op of ops) {
    if (op.kind === 'embed') tokens = Math.min(tokens, bindings.weights.get(op.table)!.rows);
    if (op.kind === 'top-k') targets = Math.min(targets, op.width);
  }
  return { sizes: bindings.sizes, tokens, targets };
}

/**
 * Throws NtxError('internal') unless a list with these limits can run the step. Positions of one slot must ascend from row
 * to row: two rows at one position would race for its place in the caches.
 */
export function checkStep(step: StepBuffer, { sizes, tokens, targets }: StepLimits): void {
  if (step.maxRows !== sizes.maxRows || step.maxOutputs !== sizes.maxOutputs) {
    throw invalid(
      `step buffer of ${step.maxRows} rows and ${step.maxOutputs} outputs`,
      `one of ${sizes.maxRows} and ${sizes.maxOutputs}, as recorded`,
    );
  }
  const next = new Map<number, number>();
  for (let r = 0; r < step.rows; r++) {
    const { token, position, slot } = step.row(r);
    if (token >= tokens) throw invalid(`token ${token} in row ${r}`, `one of ${tokens}`);
    if (slot >= sizes.slots) throw invalid(`slot ${slot} in row ${r}`, `one of ${sizes.slots}`);
    if (position >= sizes.context) throw invalid(`position ${position} in row ${r}`, `one of ${sizes.context}`);
    const least = next.get(slot) ?? 0;
    if (position < least) throw invalid(`position ${position} of slot ${slot} in row ${r}`, `${least} or later`);
    next.set(slot, position + 1);
  }
  for (let o = 0; o < step.outputs; o++) {
    const { row, target } = step.output(o);
    if (row >= step.rows) throw invalid(`row ${row} as output ${o}`, `one of the step's ${step.rows} rows`);
    if (target !== null && target >= targets) throw invalid(`target ${target} of output ${o}`, `one of ${targets}`);
  }
}

function invalid(received: string, expected: string): NtxError {
  return new NtxError('internal', `step: got ${received}, expected ${expected}`, 'report this');
}
