// How fast a model runs on this machine, and how near that comes to what its memory allows.
import type { DeviceInfo } from './backend/backend.js';
import { createCpuBackend } from './backend/cpu/cpu.js';
import { createCudaBackend } from './backend/cuda/cuda.js';
import type { BackendOptions } from './backend/index.js';
import { measureReadBandwidth } from './backend/webgpu/read-bandwidth.js';
import { NtxError } from './errors.js';
import { generate } from './generate.js';
import type { LanguageModel } from './language-model.js';
import type { Model } from './model/index.js';
import { Sampler, samplerOptions } from './sampler/index.js';
import { seededRandom } from './sampler/random.js';
import type { Sequence } from './sequence.js';

export interface BenchOptions {
  /** Tokens of the prompt that is timed. */
  readonly promptTokens: number;
  /** Tokens that are generated one by one, at the start of an empty context, as `ntx run` chooses them. */
  readonly tokens: number;
  /** How often each is timed. */
  readonly repeat: number;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens a second. */
export interface Rate {
  readonly best: number;
  readonly median: number;
}

export interface BenchResult {
  readonly prompt: Rate;
  readonly decode: Rate;
  /** Weights that one decoded token reads: all but the embedding's rows, of which it reads one. */
  readonly bytesPerToken: number;
  /** Of the best decode. */
  readonly bytesPerSecond: number;
  /** Bytes a second that plain reads reached in this run, the best of before and after; null where it is not measured. */
  readonly readBandwidth: number | null;
  readonly shareOfBandwidth: number | null;
}

/** Far beyond every cache. */
const BANDWIDTH_BYTES = 512 << 20;
const GPU_BANDWIDTH_BYTES = 2 ** 31;
const WARM_UP_TOKENS = 32;

/** Weights that a decoded token reads, in bytes. A tied output head is read as a whole, as a head. */
export function bytesPerToken(model: Model): number {
  const small = model.small.reduce((sum, tensor) => sum + tensor.bytes, 0);
  return model.units.reduce((sum, unit) => sum + unit.bytes, small);
}

/**
 * Times prompts of random tokens and generation behind one, after a warm-up. The model's context must hold them; what its sequence holds
 * is lost. Throws NtxError('cancelled').
 * @param readBandwidth measures the memory; null where nothing can be compared
 */
export async function benchModel(
  model: LanguageModel,
  options: BenchOptions,
  readBandwidth: (() => Promise<number>) | null,
): Promise<BenchResult> {
  const { promptTokens, tokens, repeat, signal } = options;
  const random = seededRandom(1);
  const randomTokens = (count: number) =>
    Array.from({ length: count }, () => Math.floor(random() * model.config.vocabulary));
  const bandwidths = readBandwidth ? [await readBandwidth()] : [];
  await timePrompt(model, randomTokens(Math.min(WARM_UP_TOKENS, promptTokens)), signal);
  const decodes: number[] = [];
  const prompts: number[] = [];
  for (let run = 0; run < repeat; run++) {
    decodes.push(await timeDecode(model, randomTokens(1), tokens, signal));
    prompts.push(await timePrompt(model, randomTokens(promptTokens), signal));
  }
  if (readBandwidth) bandwidths.push(await readBandwidth());
  model.sequence.truncate(0);
  const decode = rateOf(decodes);
  const bytes = bytesPerToken(model.model);
  const bandwidth = bandwidths.length > 0 ? Math.max(...bandwidths) : null;
  return {
    prompt: rateOf(prompts),
    decode,
    bytesPerToken: bytes,
    bytesPerSecond: bytes * decode.best,
    readBandwidth: bandwidth,
    shareOfBandwidth: bandwidth === null ? null : (bytes * decode.best) / bandwidth,
  };
}

/** Measures plain reads of the memory that the weights are in. */
export interface ReadMeter {
  /** Bytes a second. */
  measure(): Promise<number>;
  dispose(): Promise<void>;
}

/** For the device that a model was loaded to with these options; null where its memory cannot be measured. */
export function readMeter({ backend }: DeviceInfo, { threads, adapter }: BackendOptions): ReadMeter | null {
  switch (backend) {
    case 'cpu': {
      const cpu = createCpuBackend(threads === undefined ? {} : { threads });
      return { measure: () => cpu.measureReadBandwidth(BANDWIDTH_BYTES), dispose: () => cpu.dispose() };
    }
    case 'cuda': {
      const cuda = createCudaBackend();
      return { measure: () => cuda.measureReadBandwidth(GPU_BANDWIDTH_BYTES), dispose: () => cuda.dispose() };
    }
    case 'webgpu':
      return { measure: () => measureReadBandwidth({ adapter }), dispose: async () => {} };
    default:
      return null;
  }
}

/** Runs tokens to be timed: all of them. Throws NtxError('cancelled'). */
export async function runAll(sequence: Sequence, tokens: readonly number[], signal?: AbortSignal): Promise<void> {
  if ((await sequence.extend(tokens, { signal })) !== null) return;
  throw new NtxError('cancelled', 'the measurement was cancelled', 'run it again');
}

/** Tokens a second. */
async function timePrompt(model: LanguageModel, tokens: readonly number[], signal?: AbortSignal): Promise<number> {
  model.sequence.truncate(0);
  const started = performance.now();
  await runAll(model.sequence, tokens, signal);
  return (tokens.length * 1000) / (performance.now() - started);
}

/** Tokens a second: passes of a token and the choice of the next one. The pass of the prompt is not among them. */
async function timeDecode(
  { sequence }: LanguageModel,
  prompt: readonly number[],
  count: number,
  signal?: AbortSignal,
): Promise<number> {
  sequence.truncate(0);
  const sampler = new Sampler(samplerOptions({ seed: 1 }));
  const choices = generate(sequence, prompt, { sampler, maxTokens: count + 1, endTokens: new Set(), signal });
  await choices.next();
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    if ((await choices.next()).done) throw new NtxError('cancelled', 'the measurement was cancelled', 'run it again');
  }
  return (count * 1000) / (performance.now() - started);
}

function rateOf(perSecond: readonly number[]): Rate {
  const sorted = perSecond.toSorted((a, b) => b - a);
  return { best: sorted[0], median: sorted[Math.floor(sorted.length / 2)] };
}
