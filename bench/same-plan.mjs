// Two runs of a benchmark's point with one plan: what lies between them is what the machine did meanwhile.

/** By what they were predicted to take, to the last bit, and what lies where. */
export function isSamePlan(a, b) {
  return a.predicted === b.predicted && JSON.stringify(a.bytes) === JSON.stringify(b.bytes);
}

/** Seconds of the planned run, of those of the fastest pure one that has another plan; null where there is none. */
export function secondsOfBetterPure({ planned, streamed, computed }) {
  const others = [streamed, computed].filter((run) => planned && run && !isSamePlan(run, planned));
  return others.length === 0 ? null : planned.seconds / Math.min(...others.map(({ seconds }) => seconds));
}
