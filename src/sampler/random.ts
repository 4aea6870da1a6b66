/**
 * sfc32 (Chris Doty-Humphrey's PractRand): small, fast, and the same on every machine, so that a seed names a text.
 * Returns numbers in [0, 1).
 */
export function seededRandom(seed: number): () => number {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed >>> 0;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // The seed reaches all of the state after some rounds.
  for (let round = 0; round < 15; round++) next();
  return next;
}
