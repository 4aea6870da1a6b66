import type { GpuList, Program } from './list.js';
import type { Answer, ReadBack, WordRange } from './read-back.js';

/** A pass and the read behind it, encoded before it is known whether they will be wanted. */
interface Prepared {
  readonly program: Program;
  /** What is submitted one after the other. */
  readonly commands: readonly GPUCommandBuffer[];
  readonly answer: Answer;
}

/**
 * Encoding a pass takes the main thread a millisecond for some hundred dispatches, and does not depend on the tokens: only
 * the step buffer does. While sequences decode, one pass is like the one before, so the next one is encoded while the GPU
 * runs this one.
 */
export class Ahead {
  #prepared: Prepared | null = null;
  /** The read of the prepared pass that was submitted last. */
  #answer: Answer | null = null;
  /** The pass before, and whether it was like the one before it. */
  #last: { readonly list: GpuList; readonly program: Program } | null = null;
  #repeats = false;

  constructor(
    private readonly device: GPUDevice,
    private readonly readBack: ReadBack,
  ) {}

  /** The commands of this pass, if they have been prepared. Called for every pass of one segment. */
  take(list: GpuList, program: Program): readonly GPUCommandBuffer[] | null {
    this.#answer?.drop();
    this.#answer = null;
    this.#repeats = this.#last?.program === program;
    this.#last = { list, program };
    if (this.#prepared?.program !== program) return null;
    const { commands, answer } = this.#prepared;
    this.#prepared = null;
    this.#answer = answer;
    return commands;
  }

  /** A pass of several segments runs: it lasts too long for its encoding to matter, and other commands come between them. */
  skip(): void {
    this.#answer?.drop();
    this.#answer = null;
    this.#last = null;
  }

  /** The answer to a read, if it came with the last pass. */
  answer({ buffer, offset, bytes }: WordRange): Answer | null {
    const answer = this.#answer;
    if (!answer) return null;
    const { range } = answer;
    if (range.buffer !== buffer || range.offset !== offset || range.bytes !== bytes) return null;
    this.#answer = null;
    return answer;
  }

  /** To be called when the read behind a pass is on its way. */
  prepare(range: WordRange): void {
    if (!this.#repeats || !this.#last || this.#last.list.disposed) return;
    const { list, program } = this.#last;
    if (this.#prepared?.program === program) return;
    this.#prepared?.answer.drop();
    const encoders = program.segments[0].map(([first, end]) => this.#encode(list, program, first, end));
    const answer = this.readBack.encode(encoders.at(-1)!, range);
    this.#prepared = { program, commands: encoders.map((encoder) => encoder.finish()), answer };
  }

  #encode(list: GpuList, program: Program, first: number, end: number): GPUCommandEncoder {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    list.encode(pass, program, first, end);
    pass.end();
    return encoder;
  }
}
