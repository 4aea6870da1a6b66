// The text of a product's kernel: files of kernels/wgsl joined, behind the sizes of its arrays, which WGSL wants as constants.
import { type GgmlType, TYPES } from '../../../gguf/types.js';
import { wgsl } from '../wgsl.js';
import type { Choice } from './product.js';

export interface ProductTextOptions {
  readonly type: GgmlType;
  readonly choice: Choice;
  /** Rows of f32 activations are whole quads. */
  readonly quadInput: boolean;
  readonly epilogue: 'gated' | { readonly parts: 1 | 2 | 3; readonly biases: boolean };
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
        ...common,
        choice.activations === 'f32'
          ? inputText(quadInput)
          : wgsl(`quant/rows-${lanes}.dots`, RUNS_OF_16.includes(type) ? 'matmul.codes-4' : 'matmul.codes-2'),
        wgsl('matmul.vector', `matmul.vector-${choice.activations}`),
      ].join('\n');
    case 'tile':
      return [
        `const TM = ${choice.tm}u;\nconst TN = ${choice.tn}u;\n`,
        ...common,
        ...(choice.activations === 'f32' ? [inputText(quadInput)] : []),
        wgsl('matmul.tile', `matmul.tile-${choice.activations}${choice.ahead ? '-ahead' : ''}`),
      ].join('\n');
    case 'matrix':
      return [
        wgsl('matmul.matrices'),
        `const FM = ${choice.fm}u;\nconst FN = ${choice.fn}u;\n`,
        ...common,
        wgsl('matmul.split-bytes', 'matmul.matrix'),
      ].join('\n');
  }
}

/** Bounds of weight rows, in groups of `group`. */
export function boundsText(options: ProductTextOptions, group: number): string {
  return [
    `const GROUP = ${group}u;\n`,
    wgsl('matmul', 'matmul.silu'),
    typeText(options.type, 1),
    epilogueText(options),
    wgsl('matmul.bounds'),
  ].join('\n');
}

/** What leaves activations in scratch. */
export function inputTextOf(activations: 'int8' | 'fixed', quadInput: boolean): string {
  const files = activations === 'int8' ? ['matmul.quantize'] : ['matmul.split-bytes', 'matmul.fixed'];
  return [wgsl('matmul'), inputText(quadInput), wgsl(...files)].join('\n');
}

function epilogueText({ epilogue }: ProductTextOptions): string {
  if (epilogue === 'gated') return wgsl('gated-matmul');
  return wgsl(`matmul.parts-${epilogue.parts}`, epilogue.biases ? 'matmul.biases' : 'matmul.no-biases');
}

function inputText(quads: boolean): string {
  return wgsl(quads ? 'matmul.input-quads' : 'matmul.input-values');
}
