// The text of a product's kernel: files of kernels/wgsl joined, behind the sizes of its arrays, which WGSL wants as constants.
import { type GgmlType, TYPES } from '../../../gguf/types.js';
import { wgsl } from '../wgsl.js';
import type { Choice, VectorChoice } from './product.js';

export interface ProductTextOptions {
  readonly type: GgmlType;
  readonly choice: Choice;
  /** Rows of f32 activations are whole quads. */
  readonly quadInput: boolean;
  /** A norm's division is left to the product. */
  readonly factors: boolean;
  readonly epilogue:
    | { readonly kind: 'gated'; readonly coded: boolean }
    | { readonly kind: 'parts'; readonly parts: 1 | 2 | 3; readonly biases: boolean; readonly coded: boolean };
}

/** Files that a type's own needs. */
const NEEDS: Record<GgmlType, readonly string[]> = {
  F32: ['floats'],
  F16: ['halves', 'pairs', 'floats'],
  BF16: ['halves', 'pairs', 'floats'],
  Q4_0: ['halves', 'codes'],
  Q4_1: ['codes'],
  Q5_0: ['halves', 'codes'],
  Q5_1: ['codes'],
  Q8_0: ['halves', 'codes'],
  Q2_K: ['codes'],
  Q3_K: ['halves', 'codes'],
  Q4_K: ['k-scales', 'codes'],
  Q5_K: ['k-scales', 'codes'],
  Q6_K: ['halves', 'codes'],
};

/** Types whose blocks are multiples of 16 bytes. */
const QUADS: readonly GgmlType[] = ['Q4_K', 'Q5_K'];
/** Types whose load_item gives runs of 16 weights; the others' are of 8. */
const RUNS_OF_16: readonly GgmlType[] = ['Q4_K', 'Q5_K'];

/**
 * The accessors of a type for `lanes` rows at once: load_item, load_16 and decode_16 over `weights` at binding 0, GGUF's own
 * bytes. Needs the override constants K and ROW_BYTES.
 */
export function typeText(type: GgmlType, lanes: 1 | 2 | 4): string {
  const loads = QUADS.includes(type) ? 'quads' : 'words';
  return wgsl(
    ...[loads, `rows-${lanes}`, `rows-${lanes}.${loads}`, ...NEEDS[type], TYPES[type].name.toLowerCase()].map(
      (name) => `quant/${name}`,
    ),
  );
}

export function productText(options: ProductTextOptions): string {
  const { type, choice, quadInput } = options;
  const lanes = choice.family === 'vector' ? choice.lanes : 1;
  const common = [wgsl('matmul', 'matmul.silu'), typeText(type, lanes), epilogueText(options)];
  switch (choice.family) {
    case 'vector':
      return [
        wgsl(choice.subgroup > 1 ? 'matmul.subgroups' : 'matmul.no-subgroups'),
        `const COLS = ${choice.columns}u;\nconst TILES = ${choice.tiles}u;\n`,
        ...(choice.inQuads ? [wgsl('matmul', 'matmul.silu'), quadText(lanes), epilogueText(options)] : common),
        wgsl(...vectorFiles(options, choice)),
        ...(choice.activations === 'f32' ? [inputText(quadInput)] : []),
      ].join('\n');
    case 'tile':
      return [
        `const TM = ${choice.tm}u;\nconst TN = ${choice.tn}u;\n`,
        ...common,
        ...(choice.activations === 'f32' ? [inputText(quadInput)] : []),
        wgsl('matmul.tile', `matmul.tile-${choice.activations}`),
      ].join('\n');
  }
}

function vectorFiles({ type, factors, epilogue }: ProductTextOptions, choice: VectorChoice): string[] {
  const { activations, inQuads, lanes } = choice;
  const codes = [`quant/rows-${lanes}.dots`, RUNS_OF_16.includes(type) ? 'matmul.codes-4' : 'matmul.codes-2'];
  const accumulate = {
    f32: ['matmul.vector-f32'],
    int8: inQuads ? [codes[0], 'matmul.vector-q8_0'] : [...codes, 'matmul.vector-int8'],
  };
  return [
    'matmul.vector',
    ...accumulate[activations],
    factors ? 'matmul.factors' : 'matmul.no-factors',
    ...(epilogue.kind === 'parts' && epilogue.coded ? [] : ['matmul.no-before']),
    ...(epilogue.coded ? ['matmul.hand-on', 'code-rows.write', 'code-rows.subgroups'] : ['matmul.no-hand-on']),
  ];
}

/** Access to rows of any type whose bytes are whole quads. */
function quadText(lanes: 1 | 2 | 4): string {
  return wgsl('quant/quads', `quant/rows-${lanes}`, `quant/rows-${lanes}.quads`);
}

/** What leaves the codes of activations for tiles in scratch. */
export function quantizeText(quadInput: boolean): string {
  return [wgsl('matmul'), inputText(quadInput), wgsl('matmul.quantize')].join('\n');
}

function epilogueText({ epilogue }: ProductTextOptions): string {
  if (epilogue.kind === 'gated') return wgsl(epilogue.coded ? 'gated-matmul.coded' : 'gated-matmul');
  const { parts, biases, coded } = epilogue;
  const each = Array.from({ length: parts }, (_, p) => `matmul.part-${p}`);
  const outs = coded ? ['matmul.coded'] : [...each, `matmul.parts-${parts}`];
  return wgsl(...outs, biases ? 'matmul.biases' : 'matmul.no-biases');
}

function inputText(quads: boolean): string {
  return wgsl(quads ? 'matmul.input-quads' : 'matmul.input-values');
}
