import { NtxError } from '../errors.js';

/** [first, end) of ops. */
export type Segment = readonly [first: number, end: number];

/** The segments of a list with these cuts. Throws NtxError('internal') unless they are ascending indices of ops behind the first. */
export function segmentsOf(opCount: number, cuts: readonly number[]): readonly Segment[] {
  const borders = [0, ...cuts, opCount];
  const segments = borders.slice(1).map((end, i): Segment => [borders[i], end]);
  for (const cut of cuts) {
    if (Number.isSafeInteger(cut) && cut > 0 && cut < opCount) continue;
    throw new NtxError('internal', `cut: expected the index of one of ${opCount} ops, got ${cut}`, 'report this');
  }
  const empty = cuts.length > 0 && segments.find(([first, end]) => first >= end);
  if (empty) throw new NtxError('internal', `cuts: ${empty[1]} does not come behind ${empty[0]}`, 'report this');
  return segments;
}

/** Throws NtxError('internal') for a segment that a list does not have. */
export function segmentAt(segments: readonly Segment[], index: number): Segment {
  if (index in segments) return segments[index];
  throw new NtxError('internal', `segment ${index} of a list that has ${segments.length}`, 'report this');
}
