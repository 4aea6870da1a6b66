import { NtxError } from '../errors.js';

const HEADER_WORDS = 4;
const ROW_WORDS = 4;
const OUTPUT_WORDS = 2;
const NO_TARGET = 0xffffffff;

/**
 * Everything that changes from one pass to the next, in the binary form of native/ops.h: u32 rows, outputs, 0, 0; then
 * maxRows of (token, position, slot, 0); then maxOutputs of (row, target). A batch may mix prompts and decodes of several
 * sequences; rows of one sequence come in the order of their positions.
 */
export class StepBuffer {
  readonly words: Uint32Array<ArrayBuffer>;

  constructor(
    readonly maxRows: number,
    readonly maxOutputs: number,
  ) {
    this.words = new Uint32Array(HEADER_WORDS + maxRows * ROW_WORDS + maxOutputs * OUTPUT_WORDS);
  }

  get rows(): number {
    return this.words[0];
  }

  get outputs(): number {
    return this.words[1];
  }

  clear(): void {
    this.words[0] = 0;
    this.words[1] = 0;
  }

  /** Adds a token at `position` of sequence slot `slot` and returns its row. */
  addRow(token: number, position: number, slot: number): number {
    const row = this.rows;
    if (row >= this.maxRows)
      throw new NtxError('internal', `step buffer holds ${this.maxRows} rows`, 'split the batch');
    this.words.set([token, position, slot, 0], HEADER_WORDS + row * ROW_WORDS);
    this.words[0] = row + 1;
    return row;
  }

  /** Asks for the candidates after `row`, and for the logit of `target` beside them. */
  addOutput(row: number, target?: number): number {
    const output = this.outputs;
    if (output >= this.maxOutputs) {
      throw new NtxError('internal', `step buffer holds ${this.maxOutputs} outputs`, 'split the batch');
    }
    const at = HEADER_WORDS + this.maxRows * ROW_WORDS + output * OUTPUT_WORDS;
    this.words[at] = row;
    this.words[at + 1] = target ?? NO_TARGET;
    this.words[1] = output + 1;
    return output;
  }

  row(index: number): { token: number; position: number; slot: number } {
    const at = HEADER_WORDS + index * ROW_WORDS;
    return { token: this.words[at], position: this.words[at + 1], slot: this.words[at + 2] };
  }

  output(index: number): { row: number; target: number | null } {
    const at = HEADER_WORDS + this.maxRows * ROW_WORDS + index * OUTPUT_WORDS;
    const target = this.words[at + 1];
    return { row: this.words[at], target: target === NO_TARGET ? null : target };
  }
}
