import { type GgmlType, TYPES } from '../gguf/types.js';
import type { Shape } from './shapes.js';

/** The place of a weight matrix in the model, by GGUF's tensor names. */
export type Role =
  | 'token_embd'
  | 'output'
  | 'attn_q'
  | 'attn_k'
  | 'attn_v'
  | 'attn_output'
  | 'ffn_gate'
  | 'ffn_up'
  | 'ffn_down';

interface Mix {
  readonly base: GgmlType;
  /** llama.cpp's number of the mix (llama.h, `enum llama_ftype`), which general.file_type holds. */
  readonly fileType: number;
  /** Types other than the base, by place and layer; undefined is the base. */
  readonly raised?: Partial<Record<Role, (layer: number, shape: Shape) => GgmlType | undefined>>;
}

/** The first eighth of the layers, the last eighth, and every third between: those whose errors cost most. */
function needsMoreBits(layer: number, { layers }: Shape): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

const q6InSome = (layer: number, shape: Shape) => (needsMoreBits(layer, shape) ? 'Q6_K' : undefined);
const among = (first: number, layer: number) => layer < Math.floor(first);
const groupsOfFour = ({ heads, kvHeads }: Shape) => heads / kvHeads >= 4;

/**
 * The mixes of llama.cpp's quantizer for dense llama-like models without an importance matrix (llama-quant.cpp). A plain
 * type name stands for a pure file, so what llama.cpp calls Q2_K is Q2_K_M here.
 */
const MIXES = {
  Q2_K_S: {
    base: 'Q2_K',
    fileType: 21,
    raised: {
      attn_v: (_, shape) => (groupsOfFour(shape) ? 'Q4_K' : undefined),
      ffn_down: (layer, { layers }) => (among(layers / 8, layer) ? 'Q4_K' : undefined),
    },
  },
  Q2_K_M: {
    base: 'Q2_K',
    fileType: 10,
    raised: {
      attn_v: (_, shape) => (groupsOfFour(shape) ? 'Q4_K' : 'Q3_K'),
      attn_output: () => 'Q3_K',
      ffn_down: () => 'Q3_K',
    },
  },
  Q3_K_S: { base: 'Q3_K', fileType: 11 },
  Q3_K_M: {
    base: 'Q3_K',
    fileType: 12,
    raised: {
      attn_v: (layer) => (layer < 2 ? 'Q5_K' : 'Q4_K'),
      attn_output: () => 'Q4_K',
      ffn_down: (layer, { layers }) => (among(layers / 16, layer) ? 'Q5_K' : 'Q4_K'),
    },
  },
  Q3_K_L: {
    base: 'Q3_K',
    fileType: 13,
    raised: { attn_v: () => 'Q5_K', attn_output: () => 'Q5_K', ffn_down: () => 'Q5_K' },
  },
  Q4_K_S: {
    base: 'Q4_K',
    fileType: 14,
    raised: {
      attn_v: (layer) => (layer < 4 ? 'Q5_K' : undefined),
      ffn_down: (layer, { layers }) => (among(layers / 8, layer) ? 'Q5_K' : undefined),
    },
  },
  Q4_K_M: { base: 'Q4_K', fileType: 15, raised: { attn_v: q6InSome, ffn_down: q6InSome } },
  Q5_K_S: { base: 'Q5_K', fileType: 16 },
  Q5_K_M: { base: 'Q5_K', fileType: 17, raised: { attn_v: q6InSome, ffn_down: q6InSome } },
} as const satisfies Record<string, Mix>;

/** llama.cpp's numbers of files that are (nearly) of one type. */
const PURE_FILE_TYPES: Readonly<Record<GgmlType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 14,
  Q5_K: 16,
  Q6_K: 18,
  BF16: 32,
};

/** What a file's weights may be: one type for all matrices, or one of llama.cpp's mixes. */
export type WeightTypes = GgmlType | keyof typeof MIXES;

export const WEIGHT_TYPES = [...Object.keys(TYPES), ...Object.keys(MIXES)] as WeightTypes[];

export function fileType(types: WeightTypes): number {
  return isMix(types) ? MIXES[types].fileType : PURE_FILE_TYPES[types];
}

/** The type that a matrix should have, before its row length is looked at. */
export function wantedType(types: WeightTypes, role: Role, layer: number, cols: number, shape: Shape): GgmlType {
  if (!isMix(types)) return types;
  if (role === 'output' || (role === 'token_embd' && shape.tied)) return cols % 256 === 0 ? 'Q6_K' : 'Q8_0';
  const { base, raised }: Mix = MIXES[types];
  const type = raised?.[role]?.(layer, shape) ?? base;
  // In the 70B models eight heads share attn_v, which makes it small: more bits there cost next to nothing.
  const shared = shape.layers === 80 && shape.heads !== shape.kvHeads && role === 'attn_v';
  return shared && (type === 'Q3_K' || type === 'Q4_K') ? 'Q5_K' : type;
}

/**
 * What takes a type's place where a row is not a multiple of its block, as in llama.cpp, with one difference: for Q2_K and
 * Q3_K that takes IQ4_NL, which ntx does not know; Q4_0 has the same block size.
 */
const FALLBACKS: Partial<Record<GgmlType, GgmlType>> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** The type itself, or one whose blocks fit into rows of `cols` weights. */
export function fittingType(wanted: GgmlType, cols: number): GgmlType {
  const fits = (type: GgmlType) => cols % TYPES[type].blockWeights === 0;
  if (fits(wanted)) return wanted;
  const other = FALLBACKS[wanted];
  return other && fits(other) ? other : 'F16';
}

function isMix(types: WeightTypes): types is keyof typeof MIXES {
  return Object.hasOwn(MIXES, types);
}
