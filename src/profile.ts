// Where the time of a pass goes, kernel by kernel.
import type { KernelTiming } from './backend/backend.js';
import type { Forward } from './forward.js';
import type { LanguageModel } from './language-model.js';

/** Kernels of one label: of one op, with the same types and shape. */
export interface KernelSummary {
  readonly label: string;
  readonly count: number;
  /** Of all together. */
  readonly seconds: number;
  /** Bytes of weights that they read. */
  readonly weightBytes: number;
}

export interface PassProfile {
  /** Of all kernels; the gaps between them are not in it. */
  readonly seconds: number;
  /** Those that took longest first. */
  readonly kernels: readonly KernelSummary[];
}

/** The first pass pays for what is made once; of the others the fastest was disturbed least. */
const PASSES = 5;

/** The kernels of the pass that the step of `forward` describes. Throws NtxError('unsupported') where they cannot be timed. */
export async function profilePass(forward: Forward): Promise<PassProfile> {
  let best: PassProfile | null = null;
  for (let pass = 0; pass < PASSES; pass++) {
    const timings = await forward.profile();
    const seconds = timings.reduce((sum, timing) => sum + timing.seconds, 0);
    if (best === null || seconds < best.seconds) best = { seconds, kernels: byLabel(timings) };
  }
  return best!;
}

/**
 * The kernels of the token at `position`, after random ones. What the sequence of the model holds is lost.
 * Throws NtxError('unsupported') where they cannot be timed, and 'bad-prompt' for a position outside of the context.
 */
export async function profileDecode(model: LanguageModel, position: number): Promise<PassProfile> {
  const { sequence, forward, config } = model;
  sequence.truncate(0);
  const token = (at: number) => (at * 7919) % config.vocabulary;
  if (position > 0) await sequence.extend(Array.from({ length: position }, (_, at) => token(at)));
  forward.step.clear();
  forward.step.addRow(token(position), position, sequence.slot);
  forward.step.addOutput(0);
  const profile = await profilePass(forward);
  sequence.truncate(0);
  return profile;
}

function byLabel(timings: readonly KernelTiming[]): KernelSummary[] {
  const kernels = new Map<string, KernelSummary>();
  for (const { label, seconds, weightBytes } of timings) {
    const before = kernels.get(label) ?? { label, count: 0, seconds: 0, weightBytes: 0 };
    kernels.set(label, {
      label,
      count: before.count + 1,
      seconds: before.seconds + seconds,
      weightBytes: before.weightBytes + weightBytes,
    });
  }
  return [...kernels.values()].sort((a, b) => b.seconds - a.seconds);
}
