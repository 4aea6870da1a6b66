// What the resources do while a streamed model decodes, beside what was predicted and what each carries alone.
import { createBackend } from './backend/index.js';
import { runAll } from './bench.js';
import { NtxError } from './errors.js';
import type { LanguageModel } from './language-model.js';
import type { LoadModelOptions } from './options.js';
import { measuredHandOver } from './placement/hand-over.js';
import { learn } from './placement/machine-for.js';
import { measureLink } from './placement/measure/link.js';
import { measureDisks } from './placement/measure/measure.js';
import { systemClock } from './placement/measure/timing.js';
import type { Prediction } from './placement/plan.js';
import { StreamRecorder, type StreamWindow } from './streaming/stream-recorder.js';

/** Bytes a second; null: the plan does not use it. */
export interface StreamPeaks {
  readonly link: number | null;
  readonly disk: number | null;
}

export interface StreamReport {
  readonly predicted: Prediction;
  /** Of one pass, the mean. */
  readonly seconds: number;
  readonly busy: StreamWindow['busy'];
  readonly sharesQueue: boolean;
  /** Bytes a pass. */
  readonly bytes: StreamWindow['bytes'];
  /** What copies and reads reach with nothing beside them, the best of before and after. */
  readonly peaks: StreamPeaks;
  /** The last pass. */
  readonly pass: StreamWindow;
  /** null, or a sentence: it was a fifth off its prediction. */
  readonly deviation: string | null;
}

const WARM_UP_PASSES = 3;

/**
 * Decodes `tokens` random tokens of a streamed model. What its sequence holds is lost. Rates that were off correct what is known
 * of the machine. Throws NtxError('cancelled').
 */
export async function benchStream(
  model: LanguageModel,
  tokens: number,
  options: LoadModelOptions,
): Promise<StreamReport> {
  const { chosen, sequence, streamer, config } = model;
  if (chosen === null) throw new NtxError('internal', 'a model that is not streamed', 'report this');
  const before = await measurePeaks(model, options);
  const recorder = new StreamRecorder(
    model.backend,
    model.model.units.map(({ bytes }) => bytes),
  );
  sequence.truncate(0);
  const begins: number[] = [];
  const decode = async (count: number) => {
    for (let i = 0; i < count; i++) {
      if (sequence.room === 0) sequence.truncate(0);
      begins.push(performance.now());
      await runAll(sequence, [(begins.length * 7919) % config.vocabulary], options.signal);
    }
  };
  streamer.watcher = recorder;
  try {
    await decode(WARM_UP_PASSES + tokens);
  } finally {
    streamer.watcher = null;
  }
  const ended = performance.now();
  const window = await recorder.window(begins[WARM_UP_PASSES], ended);
  const pass = await recorder.window(begins.at(-1)!, ended);
  const after = await measurePeaks(model, options);
  sequence.truncate(0);
  const perPass = <T extends string>(sums: Readonly<Record<T, number>>) =>
    Object.fromEntries(Object.entries<number>(sums).map(([name, sum]) => [name, sum / tokens])) as Record<T, number>;
  const predicted = chosen.placement.answer.plan.schedules[0].prediction;
  const { sharesQueue } = window;
  const measured = {
    sharesQueue,
    seconds: window.seconds / tokens,
    busy: perPass(window.busy),
    bytes: perPass(window.bytes),
  };
  // Where nothing tells copies from kernels, a run that was off corrects what was to bind it.
  const busy = window.sharesQueue ? {} : measured.busy;
  const handOver = measuredHandOver(chosen.placement, window.events);
  const deviation = await learn(chosen.known, { predicted, seconds: measured.seconds, busy, handOver });
  return { predicted, ...measured, peaks: better(before, after), pass, deviation };
}

async function measurePeaks(model: LanguageModel, options: LoadModelOptions): Promise<StreamPeaks> {
  const { tiers, slots } = model.chosen!.placement.answer.plan;
  return {
    link: slots.length > 0 ? await linkPeak(options) : null,
    disk: tiers.includes('disk') ? await diskPeak(model) : null,
  };
}

async function linkPeak(options: LoadModelOptions): Promise<number> {
  const backend = await createBackend(options);
  try {
    const { copies } = await measureLink(backend, systemClock);
    return Math.max(...copies.map(({ rate }) => rate));
  } finally {
    await backend.dispose();
  }
}

async function diskPeak(model: LanguageModel): Promise<number> {
  const disks = await measureDisks(model.files);
  return disks.reduce((sum, { rate }) => sum + rate, 0);
}

function better(a: StreamPeaks, b: StreamPeaks): StreamPeaks {
  const most = (x: number | null, y: number | null) => (x === null || y === null ? null : Math.max(x, y));
  return { link: most(a.link, b.link), disk: most(a.disk, b.disk) };
}
