/** A tensor type by its ggml number and name, with the block that its bytes come in (ggml-common.h, ggml.c type traits). */
export interface TypeTraits {
  readonly id: number;
  readonly name: string;
  /** Weights in one block. */
  readonly blockWeights: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
}

export const TYPES = {
  F32: { id: 0, name: 'F32', blockWeights: 1, blockBytes: 4 },
  F16: { id: 1, name: 'F16', blockWeights: 1, blockBytes: 2 },
  Q4_0: { id: 2, name: 'Q4_0', blockWeights: 32, blockBytes: 18 },
  Q4_1: { id: 3, name: 'Q4_1', blockWeights: 32, blockBytes: 20 },
  Q5_0: { id: 6, name: 'Q5_0', blockWeights: 32, blockBytes: 22 },
  Q5_1: { id: 7, name: 'Q5_1', blockWeights: 32, blockBytes: 24 },
  Q8_0: { id: 8, name: 'Q8_0', blockWeights: 32, blockBytes: 34 },
  Q2_K: { id: 10, name: 'Q2_K', blockWeights: 256, blockBytes: 84 },
  Q3_K: { id: 11, name: 'Q3_K', blockWeights: 256, blockBytes: 110 },
  Q4_K: { id: 12, name: 'Q4_K', blockWeights: 256, blockBytes: 144 },
  Q5_K: { id: 13, name: 'Q5_K', blockWeights: 256, blockBytes: 176 },
  Q6_K: { id: 14, name: 'Q6_K', blockWeights: 256, blockBytes: 210 },
  BF16: { id: 30, name: 'BF16', blockWeights: 1, blockBytes: 2 },
} as const satisfies Record<string, TypeTraits>;

/** A tensor type that ntx computes with, by its ggml name. */
export type GgmlType = keyof typeof TYPES;

export const GGML_TYPES = Object.keys(TYPES) as GgmlType[];

/** Bytes of `weights` contiguous weights of a type; `weights` is a multiple of the block. */
export function typeBytes(type: GgmlType, weights: number): number {
  const { blockWeights, blockBytes } = TYPES[type];
  return (weights / blockWeights) * blockBytes;
}

/** One tensor of a model, with its place in the file checked. */
export interface TensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** ggml order: shape[0] is the contiguous dimension (columns, the length of a row), shape[1] the number of rows. */
  readonly shape: readonly number[];
  /** Index into `GgufModel.files`. */
  readonly file: number;
  /** Absolute offset in that file, bytes. A multiple of the file's alignment (32 by default). */
  readonly offset: number;
  readonly bytes: number;
}

export type MetadataValue = string | number | bigint | boolean | MetadataArray;
export type MetadataArray = readonly (string | number | bigint | boolean)[] | readonly MetadataArray[];

/** The header of a GGUF model: one file, or all shards of a split one. Every range has been checked against its file. */
export interface GgufModel {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly version: 2 | 3;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}
