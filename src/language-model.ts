import type { Backend, DeviceInfo } from './backend/backend.js';
import type { ChosenPlan } from './choose-plan.js';
import { NtxError } from './errors.js';
import type { Forward } from './forward.js';
import { type FinishReason, generate } from './generate.js';
import type { LoadedForward } from './load-forward.js';
import type { Model, ModelConfig } from './model/index.js';
import type { OpenedModel } from './open-model.js';
import type { GenerateOptions, Piece, Summary } from './options.js';
import { Sampler, samplerOptions } from './sampler/index.js';
import { Sequence } from './sequence.js';
import { StopText } from './stop-text.js';
import type { Streamer } from './streaming/streamer.js';
import type { Tokenizer } from './tokenizer/index.js';

/** A loaded model. Its memory is freed by `dispose` alone. */
export class LanguageModel {
  readonly sequence: Sequence;
  private turn: Promise<unknown> = Promise.resolve();
  private disposing: Promise<void> | null = null;

  constructor(
    private readonly opened: OpenedModel,
    readonly backend: Backend,
    private readonly loaded: Omit<LoadedForward, 'close' | 'free'>,
    /** How weights that do not fit on the device move; null: all do. */
    readonly chosen: ChosenPlan | null,
    private readonly onDispose: () => Promise<void>,
  ) {
    this.sequence = new Sequence(loaded.forward, 0);
  }

  get device(): DeviceInfo {
    return this.backend.device;
  }

  /** Paths of the model's files. */
  get files(): readonly string[] {
    return this.opened.gguf.files.map(({ path }) => path);
  }

  get forward(): Forward {
    return this.loaded.forward;
  }

  get streamer(): Streamer {
    return this.loaded.streamer;
  }

  /** Bytes in memory: weights; KV cache, activations and tables. */
  get memory(): LoadedForward['memory'] {
    return this.loaded.memory;
  }

  get config(): ModelConfig {
    return this.opened.model.config;
  }

  get model(): Model {
    return this.opened.model;
  }

  get tokenizer(): Tokenizer {
    return this.opened.tokenizer;
  }

  /** Positions of the KV cache. */
  get context(): number {
    return this.forward.sizes.context;
  }

  /**
   * Continues a text (or tokens, taken as they are). Yields every token with the text it completes; returns a summary.
   * One generation runs at a time, later ones wait until it has ended or was returned from. Throws NtxError: 'bad-prompt' for
   * an empty or too long prompt, 'bad-argument' for options out of range, and when the model is disposed meanwhile.
   */
  async *generate(
    prompt: string | readonly number[],
    options: GenerateOptions = {},
  ): AsyncGenerator<Piece, Summary, undefined> {
    const tokens = this.promptTokens(prompt);
    const sampler = new Sampler(samplerOptions(options));
    checkLimits(options);
    const release = await this.takeTurn();
    try {
      return yield* this.run(tokens, sampler, options);
    } finally {
      release();
    }
  }

  /** Ends generations, after the pass that runs, and frees all memory. */
  dispose(): Promise<void> {
    this.disposing ??= this.onDispose();
    return this.disposing;
  }

  private promptTokens(prompt: string | readonly number[]): readonly number[] {
    const tokens = typeof prompt === 'string' ? this.tokenizer.encode(prompt) : prompt;
    if (!prompt?.length || tokens.length === 0) {
      throw new NtxError('bad-prompt', 'the prompt is empty', 'give a text to continue');
    }
    const outside = tokens.find((token) => !(Number.isInteger(token) && token >= 0 && token < this.config.vocabulary));
    if (outside !== undefined) {
      const advice = `tokens are whole numbers below ${this.config.vocabulary}`;
      throw new NtxError('bad-prompt', `token ${outside} is not in the vocabulary`, advice);
    }
    if (tokens.length >= this.context) {
      throw new NtxError(
        'bad-prompt',
        `the prompt has ${tokens.length} tokens; a context of ${this.context} leaves no room for an answer`,
        `shorten it, or raise --context (the model was trained for ${this.config.trainedContext})`,
      );
    }
    return tokens;
  }

  private async takeTurn(): Promise<() => void> {
    this.requireMemory();
    const before = this.turn;
    let release: () => void = () => {};
    this.turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    await before;
    return release;
  }

  private requireMemory(): void {
    if (this.disposing) throw new NtxError('bad-argument', 'the model was disposed', 'load it again');
  }

  private async *run(
    tokens: readonly number[],
    sampler: Sampler,
    options: GenerateOptions,
  ): AsyncGenerator<Piece, Summary, undefined> {
    const started = performance.now();
    let firstToken = 0;
    let generatedTokens = 0;
    const reusedTokens = this.sequence.reuse(tokens);
    const text = this.tokenizer.stream();
    const stop = new StopText(options.stop ?? []);
    const choices = generate(this.sequence, tokens, {
      sampler,
      maxTokens: options.maxTokens ?? Number.POSITIVE_INFINITY,
      endTokens: options.ignoreEnd ? new Set() : this.tokenizer.eog,
      signal: options.signal,
      onPrompt: options.onPrompt,
    });
    let finishReason: FinishReason;
    for (;;) {
      this.requireMemory();
      const next = await choices.next();
      firstToken ||= performance.now();
      if (next.done) {
        finishReason = next.value;
        break;
      }
      generatedTokens++;
      const { token } = next.value;
      // An embedding may be padded with rows that are no tokens of the vocabulary, and nothing keeps a model from one.
      const shown = stop.push(token < this.tokenizer.size ? text.push(token) : '');
      yield { text: shown.text, ...next.value };
      if (shown.stopped) {
        finishReason = 'stop';
        break;
      }
    }
    const rest = finishReason === 'stop' ? '' : stop.push(text.end()).text + stop.end();
    if (rest) yield { text: rest, token: null, logProbability: null };
    return {
      finishReason,
      promptTokens: tokens.length,
      reusedTokens,
      generatedTokens,
      promptSeconds: (firstToken - started) / 1000,
      decodeSeconds: (performance.now() - firstToken) / 1000,
    };
  }
}

/** Throws NtxError('bad-argument'). */
function checkLimits({ maxTokens = Number.POSITIVE_INFINITY, stop = [] }: GenerateOptions): void {
  if (!(maxTokens >= 0 && (Number.isInteger(maxTokens) || maxTokens === Number.POSITIVE_INFINITY))) {
    const message = `maxTokens: expected a whole number from 0 on, got ${maxTokens}`;
    throw new NtxError('bad-argument', message, 'leave it out for no limit');
  }
  if (!Array.isArray(stop) || !stop.every((text) => typeof text === 'string')) {
    throw new NtxError('bad-argument', 'stop: expected a list of texts', "give one like ['\\n\\n', 'END']");
  }
}
