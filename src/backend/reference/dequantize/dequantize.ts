import { type GgmlType, TYPES, typeBytes } from '../../../gguf/types.js';
import { type DecodeBlock, decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './blocks-of-32.js';
import { type DecodeRow, decodeBF16, decodeF16, decodeF32 } from './floats.js';
import { decodeQ2_K, decodeQ3_K, decodeQ4_K, decodeQ5_K, decodeQ6_K } from './k-quants.js';

const DECODERS: Record<GgmlType, DecodeRow> = {
  F32: decodeF32,
  F16: decodeF16,
  BF16: decodeBF16,
  Q4_0: inBlocks('Q4_0', decodeQ4_0),
  Q4_1: inBlocks('Q4_1', decodeQ4_1),
  Q5_0: inBlocks('Q5_0', decodeQ5_0),
  Q5_1: inBlocks('Q5_1', decodeQ5_1),
  Q8_0: inBlocks('Q8_0', decodeQ8_0),
  Q2_K: inBlocks('Q2_K', decodeQ2_K),
  Q3_K: inBlocks('Q3_K', decodeQ3_K),
  Q4_K: inBlocks('Q4_K', decodeQ4_K),
  Q5_K: inBlocks('Q5_K', decodeQ5_K),
  Q6_K: inBlocks('Q6_K', decodeQ6_K),
};

function inBlocks(type: GgmlType, decodeBlock: DecodeBlock): DecodeRow {
  const { blockWeights, blockBytes } = TYPES[type];
  return (bytes, at, out) => {
    for (let to = 0; to < out.length; to += blockWeights, at += blockBytes) decodeBlock(bytes, at, out, to);
  };
}

/** A weight matrix in GGUF's own bytes. */
export interface Matrix {
  readonly type: GgmlType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: Uint8Array;
}

/** Decodes row `n` to out[cols]. Doubles hold every product of scales and codes exactly. */
export function decodeRow({ type, cols, bytes }: Matrix, n: number, out: Float64Array): void {
  DECODERS[type](bytes, n * typeBytes(type, cols), out);
}
