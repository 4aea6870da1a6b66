// What the resources do while a streamed model decodes, beside what was predicted and what each carries alone.
import { createBackend } from './backend/index.js';
import { runAll } from './bench.js';
import { NtxError } from './errors.js';
import type { LanguageModel } from './language-model.js';
import type { LoadModelOptions } from './options.js';
import { forecastPass } from './placement/forecast.js';
import { measuredHandOver } from './placement/hand-over.js';
import { learn } from './placement/machine-for.js';
import { measureLink } from './placement/measure/link.js';
import { systemClock } from './placement/measure/timing.js';
import type { Prediction } from './placement/plan.js';
import { bytesRead } from './streaming/lanes.js';
import { joined, StreamRecorder, type StreamWindow } from './streaming/stream-recorder.js';

/** Bytes a second; null: the plan does not use it. */
export interface StreamPeaks {
  readonly link: number | null;
  readonly disk: number | null;
}

/** Some passes, with what was foreseen right before them. */
export interface StreamRound {
  readonly passes: number;
  /** Of one pass, the mean. */
  readonly seconds: number;
  /** In which the drives read what a pass reads, with nothing beside it. */
  readonly readSeconds: number;
  /** Of one pass: the plan's, with drives as fast as that. */
  readonly forecast: number;
}

export interface StreamReport {
  /** When the model was planned. */
  readonly predicted: Prediction;
  /** Of one pass, the mean. */
  readonly seconds: number;
  readonly busy: StreamWindow['busy'];
  readonly sharesQueue: boolean;
  /** Bytes a pass. */
  readonly bytes: StreamWindow['bytes'];
  /**
   * What copies and reads reach with nothing beside them: of copies the best of before and after, of reads what they reached in
   * front of each round, over all passes.
   */
  readonly peaks: StreamPeaks;
  /** Empty where nothing is read: what else a plan depends on keeps its rate. */
  readonly rounds: readonly StreamRound[];
  /** Seconds of a pass, the mean of what was foreseen for each; null without rounds. */
  readonly forecast: number | null;
  /** The last pass. */
  readonly pass: StreamWindow;
  /** null, or a sentence: it was a fifth off its prediction. */
  readonly deviation: string | null;
}

const WARM_UP_PASSES = 3;
/** A drive that others use as well, or that is virtual, has another rate every few seconds: so often it is measured again. */
const ROUND_SECONDS = 1.5;
const ALONE_SECONDS = 1;

/**
 * Decodes `tokens` random tokens of a streamed model. What its sequence holds is lost. Rates that were off correct what is known
 * of the machine. Throws NtxError('cancelled').
 */
export async function benchStream(
  model: LanguageModel,
  tokens: number,
  options: LoadModelOptions,
): Promise<StreamReport> {
  const { chosen, sequence, streamer } = model;
  if (chosen === null) throw new NtxError('internal', 'a model that is not streamed', 'report this');
  const before = await linkPeak(model, options);
  sequence.truncate(0);
  const recorder = new StreamRecorder(
    model.backend,
    model.model.units.map(({ bytes }) => bytes),
  );
  streamer.watcher = recorder;
  const { window, rounds, pass } = await decodeRounds(model, tokens, recorder, options.signal).finally(() => {
    streamer.watcher = null;
  });
  const after = await linkPeak(model, options);
  sequence.truncate(0);
  const predicted = chosen.placement.answer.plan.schedules[0].prediction;
  const perPass = <T extends string>(sums: Readonly<Record<T, number>>) =>
    Object.fromEntries(Object.entries<number>(sums).map(([name, sum]) => [name, sum / tokens])) as Record<T, number>;
  const { sharesQueue } = window;
  const measured = {
    sharesQueue,
    seconds: window.seconds / tokens,
    busy: perPass(window.busy),
    bytes: perPass(window.bytes),
  };
  // Where nothing tells copies from kernels, a run that was off corrects what was to bind it.
  const busy = sharesQueue ? {} : measured.busy;
  const handOver = measuredHandOver(chosen.placement, window.events);
  const deviation = await learn(chosen.known, { predicted, seconds: measured.seconds, busy, handOver });
  const link = before === null || after === null ? null : Math.max(before, after);
  const peaks = { link, disk: diskPeak(model, rounds) };
  const forecast = meanOf(rounds, (round) => round.forecast);
  return { predicted, ...measured, peaks, rounds, forecast, pass, deviation };
}

type Decoded = Pick<StreamReport, 'rounds' | 'pass'> & { readonly window: StreamWindow };

/** Each round behind passes that are not measured: they fill what reading alone has emptied. */
async function decodeRounds(
  { chosen, sequence, streamer, config }: LanguageModel,
  tokens: number,
  recorder: StreamRecorder,
  signal: AbortSignal | undefined,
): Promise<Decoded> {
  const { placement } = chosen!;
  const { transfers, prediction } = placement.answer.plan.schedules[0];
  const reads = transfers.some(({ staging }) => staging !== null);
  const most = reads ? Math.max(1, Math.round(ROUND_SECONDS / prediction.seconds)) : tokens;
  const windows: StreamWindow[] = [];
  const rounds: StreamRound[] = [];
  let passes = 0;
  let lastBegan = 0;
  const decode = async (count: number) => {
    for (let i = 0; i < count; i++) {
      if (sequence.room === 0) sequence.truncate(0);
      lastBegan = performance.now();
      await runAll(sequence, [(++passes * 7919) % config.vocabulary], signal);
    }
  };
  await decode(WARM_UP_PASSES - 1);
  for (let left = tokens; left > 0; left -= most) {
    const readSeconds = await streamer.readAlone(ALONE_SECONDS, signal);
    const forecast = readSeconds === null ? null : forecastPass(placement, readSeconds);
    await decode(1);
    const began = performance.now();
    const count = Math.min(most, left);
    await decode(count);
    const window = await recorder.window(began, performance.now());
    windows.push(window);
    if (readSeconds === null || forecast === null) continue;
    rounds.push({ passes: count, seconds: window.seconds / count, readSeconds, forecast });
  }
  const pass = await recorder.window(lastBegan, performance.now());
  return { window: joined(windows), rounds, pass };
}

/** Of a pass; null without rounds. */
function meanOf(rounds: readonly StreamRound[], secondsOf: (round: StreamRound) => number): number | null {
  if (rounds.length === 0) return null;
  const sum = (of: (round: StreamRound) => number) => rounds.reduce((total, round) => total + of(round), 0);
  return sum((round) => secondsOf(round) * round.passes) / sum(({ passes }) => passes);
}

/** Bytes a second; null where nothing is copied. */
async function linkPeak({ chosen }: LanguageModel, options: LoadModelOptions): Promise<number | null> {
  if (chosen!.placement.answer.plan.slots.length === 0) return null;
  const backend = await createBackend(options);
  try {
    const { copies } = await measureLink(backend, systemClock);
    return Math.max(...copies.map(({ rate }) => rate));
  } finally {
    await backend.dispose();
  }
}

/** Bytes a second at which the drives alone would have read for all passes. */
function diskPeak({ chosen }: LanguageModel, rounds: readonly StreamRound[]): number | null {
  const seconds = meanOf(rounds, ({ readSeconds }) => readSeconds);
  const { transfers } = chosen!.placement.answer.plan.schedules[0];
  return seconds === null ? null : bytesRead(transfers) / seconds;
}
