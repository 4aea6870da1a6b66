// The bytes that `top-k` writes: for each output f32 log-sum-exp, f32 target logit, u32 count, u32 0 (or 1 + the token that the
// device has drawn of them), then k of (u32 token, f32 logit), descending, ties by the lower token (native/ops.h: OutputHeader,
// Candidate).

const HEADER_BYTES = 16;
const CANDIDATE_BYTES = 8;

/** Candidates that an output carries: JavaScript never walks the whole vocabulary. */
export const CANDIDATES = 256;

/** The best candidates for the token after one row. */
export interface Output {
  /** ln(sum(exp(logit))) over the whole vocabulary. */
  readonly logSumExp: number;
  /** The logit of the target that the step asked for, else 0. */
  readonly targetLogit: number;
  readonly tokens: Uint32Array;
  /** Descending. */
  readonly logits: Float32Array;
  /** The token that the device has drawn, with which the next pass has begun; absent: it has drawn none. */
  readonly drawn?: number;
}

export function outputBytes(k: number): number {
  return HEADER_BYTES + k * CANDIDATE_BYTES;
}

export function readOutputs(bytes: ArrayBuffer, outputs: number, k: number): Output[] {
  const words = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  return Array.from({ length: outputs }, (_, index) => {
    const at = (index * outputBytes(k)) / 4;
    const count = words[at + 2];
    // One buffer for both: each is memory outside of the heap, which makes garbage collections come sooner.
    const buffer = new ArrayBuffer(count * CANDIDATE_BYTES);
    const tokens = new Uint32Array(buffer, 0, count);
    const logits = new Float32Array(buffer, count * 4, count);
    for (let i = 0; i < count; i++) {
      tokens[i] = words[at + 4 + 2 * i];
      logits[i] = floats[at + 5 + 2 * i];
    }
    const output = { logSumExp: floats[at], targetLogit: floats[at + 1], tokens, logits };
    return words[at + 3] === 0 ? output : { ...output, drawn: words[at + 3] - 1 };
  });
}
