import type { Output } from './backend/outputs.js';
import type { NextSampling } from './backend/sampling.js';
import { NtxError } from './errors.js';
import type { Forward } from './forward.js';

export interface ExtendOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** How the token behind these will be chosen, if one will be added: Forward.pass(). */
  readonly sampling?: NextSampling | undefined;
}

/** One sequence slot of the KV cache: which tokens it holds, and how to add more. */
export class Sequence {
  private readonly cached: number[] = [];

  constructor(
    private readonly forward: Forward,
    readonly slot: number,
  ) {}

  get length(): number {
    return this.cached.length;
  }

  /** Positions that are left. */
  get room(): number {
    return this.forward.sizes.context - this.cached.length;
  }

  get tokens(): readonly number[] {
    return this.cached;
  }

  /** Forgets everything after the first `length` tokens. */
  truncate(length: number): void {
    this.cached.length = Math.min(length, this.cached.length);
  }

  /**
   * Makes the slot hold a prefix of `tokens` that it already knows, and returns its length: at most all but one, since
   * the last token must run to give an output.
   */
  reuse(tokens: readonly number[]): number {
    let same = 0;
    while (same < this.cached.length && same < tokens.length - 1 && this.cached[same] === tokens[same]) same++;
    this.truncate(same);
    return same;
  }

  /**
   * Appends tokens, as many rows a pass as the recording allows, and returns the candidates after the last; null when the
   * signal was aborted before (what has run stays). Rejects with NtxError('io') when streamed weights cannot be read.
   */
  async extend(tokens: readonly number[], options: ExtendOptions = {}): Promise<Output | null> {
    const { step, sizes } = this.forward;
    if (tokens.length === 0 || tokens.length > this.room) {
      throw new NtxError(
        'bad-prompt',
        `${tokens.length} tokens do not fit: the sequence holds ${this.length} of ${sizes.context}`,
        'shorten the text or raise the context (--context)',
      );
    }
    let outputs: Output[] = [];
    for (let done = 0; done < tokens.length; ) {
      if (options.signal?.aborted) return null;
      const rows = Math.min(sizes.maxRows, tokens.length - done);
      step.clear();
      for (let row = 0; row < rows; row++) step.addRow(tokens[done + row], this.length + row, this.slot);
      const isLast = done + rows === tokens.length;
      if (isLast) step.addOutput(rows - 1);
      try {
        outputs = await this.forward.pass(options.signal, isLast ? options.sampling : undefined);
      } catch (error) {
        if (options.signal?.aborted) return null;
        throw error;
      }
      for (let row = 0; row < rows; row++) this.cached.push(tokens[done + row]);
      done += rows;
      options.onProgress?.(done, tokens.length);
    }
    return outputs[0];
  }
}
