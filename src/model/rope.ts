import type { RopeConfig } from './config.js';

/**
 * The rotation table of `rope-kv-write`: f32 [context][dim / 2][cos, sin]. Computed once, in double precision: GPU
 * shaders only promise sine and cosine near zero, and positions are large.
 */
export function ropeTable(rope: RopeConfig, context: number): Float32Array<ArrayBuffer> {
  const { frequencies, magnitude } = ropeFrequencies(rope);
  const pairs = frequencies.length;
  const table = new Float32Array(context * pairs * 2);
  for (let position = 0; position < context; position++) {
    for (let pair = 0; pair < pairs; pair++) {
      const angle = position * frequencies[pair];
      const at = (position * pairs + pair) * 2;
      table[at] = Math.cos(angle) * magnitude;
      table[at + 1] = Math.sin(angle) * magnitude;
    }
  }
  return table;
}

/** Radians a position turns each pair by, and the factor on the rotated values (1 but for YaRN). */
export function ropeFrequencies(rope: RopeConfig): { frequencies: Float64Array; magnitude: number } {
  const { base, dim, scaling, factors } = rope;
  const frequencies = Float64Array.from(
    { length: dim / 2 },
    (_, pair) => base ** ((-2 * pair) / dim) / (factors?.[pair] ?? 1),
  );
  if (scaling.type === 'none') return { frequencies, magnitude: 1 };
  if (scaling.type === 'linear') return { frequencies: frequencies.map((f) => f / scaling.factor), magnitude: 1 };

  // YaRN (arXiv 2309.00071, section 3.2): pairs that turn often within the original context keep their frequency, slow
  // ones are interpolated, with a linear ramp between the pairs that turn 32 times and once.
  const pairOfTurns = (turns: number) =>
    (dim * Math.log(scaling.originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(0, Math.floor(pairOfTurns(32)));
  const high = Math.min(dim - 1, Math.ceil(pairOfTurns(1)));
  const mixed = frequencies.map((frequency, pair) => {
    const ramp = Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
    return (frequency / scaling.factor) * ramp + frequency * (1 - ramp);
  });
  return { frequencies: mixed, magnitude: scaling.attentionFactor * (1 + 0.1 * Math.log(scaling.factor)) };
}
