// Products of activation rows with weight matrices, as dispatches: what matmul and gated-matmul share.
import { TYPES, typeBytes } from '../../../gguf/types.js';
import type { BoundWeight, DeviceRange } from '../../backend.js';
import type { BindingSlot, DeviceFacts, Dispatch } from '../kernel.js';
import { cover, rowsThatFit } from './product-ranges.js';
import { boundsText, inputTextOf, type ProductTextOptions, productText } from './product-text.js';

/** How a product is computed; product-choice.ts has the table. */
export type Choice = VectorChoice | TileChoice | MatrixChoice;

/** For few activation rows: threads share weight rows and split their columns (matmul.vector.wgsl). */
export interface VectorChoice {
  readonly family: 'vector';
  /** What weights are multiplied with: the activations, or their codes of 8 bits, made by a dispatch before. */
  readonly activations: 'f32' | 'int8';
  /** Most activation rows. */
  readonly columns: number;
  /** Weight rows that a thread decodes side by side, in tiles of `lanes`. */
  readonly lanes: 1 | 2 | 4;
  readonly tiles: number;
  /** Threads that share a group of weight rows. */
  readonly split: number;
  /** Threads of a workgroup, a multiple of `split`. */
  readonly threads: number;
  /** Size of all subgroups; 1 where they are not used. */
  readonly subgroup: number;
}

/** For many: tiles of 16 tm activation rows by 16 tn weight rows in workgroup memory (matmul.tile.wgsl). */
export interface TileChoice {
  readonly family: 'tile';
  readonly activations: 'f32' | 'int8';
  readonly tm: number;
  readonly tn: number;
  /** A step's operands are loaded while the step before is computed (int8 alone). */
  readonly ahead: boolean;
}

/** For many, on matrix units that multiply signed bytes: 32 fm activation rows by 64 fn weight rows (matmul.matrix.wgsl). */
export interface MatrixChoice {
  readonly family: 'matrix';
  readonly activations: 'fixed';
  readonly fm: number;
  readonly fn: number;
}

export interface Part {
  readonly weight: BoundWeight;
  readonly bias: DeviceRange | null;
  readonly out: DeviceRange;
}

/** Matrices of one type over one input, computed by one dispatch. */
export interface PartsProduct {
  readonly kind: 'parts';
  readonly input: DeviceRange;
  /** One to three. */
  readonly parts: readonly Part[];
  /** `gate`: out = silu(out) * product, for one part. */
  readonly mode: 'store' | 'accumulate' | 'gate';
  readonly over: 'rows' | 'outputs';
}

/** out = silu(input . gate) * (input . up); both of one type. */
export interface GatedProduct {
  readonly kind: 'gated';
  readonly input: DeviceRange;
  readonly gate: BoundWeight;
  readonly up: BoundWeight;
  readonly out: DeviceRange;
  readonly over: 'rows';
}

export type Product = PartsProduct | GatedProduct;

type Constants = Record<string, number>;

const MODES = { store: 0, accumulate: 1, gate: 2 } as const;
/** Threads of a workgroup that rounds activations, a block each. */
const QUANTIZE_THREADS = 64;
/** Threads of a workgroup that brings a row of activations to fixed point. */
const FIXED_THREADS = 256;
/** Threads of a workgroup that bounds weight rows, and of those each row's. */
const BOUNDS_THREADS = 128;
const BOUNDS_SPLIT = 32;
/** Below the guaranteed limit of workgroups in a dimension; more go to the second one. */
const GROUPS_X = 32768;

/** Rows of weights in a group: what matmul.vector.wgsl, matmul.tile.wgsl and matmul.matrix.wgsl call GROUP. */
export function groupRows(choice: Choice): number {
  if (choice.family === 'vector') return choice.tiles * choice.lanes;
  return choice.family === 'tile' ? 16 * choice.tn : 64 * choice.fn;
}

/** Bytes of scratch that a choice needs for `rows` rows of activations. */
export function scratchBytes(product: Product, choice: Choice, rows: number): number {
  const { cols } = firstWeight(product);
  switch (choice.activations) {
    case 'f32':
      return 0;
    case 'int8':
      return rows * cols + (rows * cols) / 8 + (rows * cols) / 4;
    case 'fixed':
      return 2 * rows * cols + 4 * rows + 4 * groupCount(product, choice) * groupRows(choice);
  }
}

/** Where the parts of scratch start, in words. */
function scratchConstants(activations: Choice['activations'], rows: number, cols: number) {
  const codeWords = (rows * cols) / 4;
  return activations === 'fixed'
    ? { LOWS: codeWords, SCALES: 2 * codeWords, BOUNDS: 2 * codeWords + rows }
    : { SCALES: codeWords, SUMS: codeWords + (rows * cols) / 32 };
}

/** The dispatch that leaves the activations of at most `rows` rows in scratch; none for `f32`. */
export function inputDispatches(product: Product, choice: Choice, rows: number, facts: DeviceFacts): Dispatch[] {
  if (choice.activations === 'f32') return [];
  const { cols } = firstWeight(product);
  const input = boundInput(product, facts);
  const fixed = choice.activations === 'fixed';
  const { BOUNDS: _, ...constants } = scratchConstants(choice.activations, rows, cols);
  return [
    {
      label: `${fixed ? 'fix' : 'quantize'} ${cols}`,
      code: inputTextOf(choice.activations, input.quads),
      constants: {
        ...constants,
        K: cols,
        COUNT: countIndex(product),
        THREADS: fixed ? FIXED_THREADS : QUANTIZE_THREADS,
        INPUT: input.at,
      },
      bindings: [null, input.slot, 'counts', 'scratch'],
      groups: fixed ? (count) => [count, 1, 1] : (count) => spread(Math.ceil((count * cols) / 32 / QUANTIZE_THREADS)),
      weightBytes: 0,
    },
  ];
}

/**
 * The dispatches of a product for at most `rows` activation rows: one, or one for every range of weight rows that the device
 * can bind. They read what inputDispatches() left in scratch for the same choice and `rows`.
 */
export function productDispatches(product: Product, choice: Choice, rows: number, facts: DeviceFacts): Dispatch[] {
  const { cols, type } = firstWeight(product);
  const coded = choice.activations !== 'f32';
  const input = boundInput(product, facts);
  const hasBiases = product.kind === 'parts' && product.parts.some(({ bias }) => bias !== null);
  const text: ProductTextOptions = {
    type,
    choice,
    quadInput: input.quads,
    epilogue: product.kind === 'gated' ? 'gated' : { parts: product.parts.length as 1 | 2 | 3, biases: hasBiases },
  };
  const code = productText(text);
  const common: Constants = {
    K: cols,
    ROW_BYTES: typeBytes(type, cols),
    COUNT: countIndex(product),
    ...(choice.family === 'vector' ? { THREADS: choice.threads, SPLIT: choice.split, SUBGROUP: choice.subgroup } : {}),
    ...activationConstants(choice, input.at, rows, cols),
  };
  const pieces = product.kind === 'gated' ? gatedPieces(product, facts) : partsPieces(product, facts);
  return pieces.flatMap((piece): Dispatch[] => {
    const { weights, outs, biases, constants, matrixRows } = piece;
    const groups = groupCountOf(matrixRows, product, choice);
    const dispatch: Dispatch = {
      label: labelOf(product, choice, matrixRows),
      code,
      constants: { ...common, ...constants },
      bindings: [
        { range: weights, access: 'read' },
        coded ? 'scratch-read' : input.slot,
        'counts',
        ...outSlots(outs),
        biases && { range: biases, access: 'read' },
        coded ? 'scratch-read' : null,
      ],
      groups: (count) => workgroups(choice, groups, count),
      weightBytes: matrixRows.reduce((sum, count) => sum + count, 0) * typeBytes(type, cols) * matricesOf(product),
    };
    if (choice.family !== 'matrix') return [dispatch];
    return [boundsDispatch(product, text, piece, choice, rows), dispatch];
  });
}

/** Bounds of the weight rows that the dispatch behind it takes, into scratch. */
function boundsDispatch(
  product: Product,
  text: ProductTextOptions,
  { weights, constants, matrixRows }: Piece,
  choice: MatrixChoice,
  rows: number,
): Dispatch {
  const { cols, type } = firstWeight(product);
  const { BOUNDS } = scratchConstants('fixed', rows, cols);
  const weightRows = groupCountOf(matrixRows, product, choice) * groupRows(choice);
  return {
    label: `bounds ${TYPES[type].name} ${matrixRows.join('+')} x ${cols}`,
    code: boundsText(text, groupRows(choice)),
    constants: {
      ...constants,
      K: cols,
      ROW_BYTES: typeBytes(type, cols),
      THREADS: BOUNDS_THREADS,
      BOUNDS: BOUNDS!,
    },
    bindings: [{ range: weights, access: 'read' }, null, null, null, null, null, null, 'scratch'],
    groups: (count) => (count === 0 ? [0, 0, 0] : spread(Math.ceil((weightRows * BOUNDS_SPLIT) / BOUNDS_THREADS))),
    weightBytes: 0,
  };
}

/** A dispatch's part of a product. */
interface Piece {
  readonly weights: DeviceRange;
  readonly outs: readonly DeviceRange[];
  readonly biases: DeviceRange | null;
  readonly constants: Constants;
  /** Of each part. */
  readonly matrixRows: readonly number[];
}

function partsPieces({ parts, mode }: PartsProduct, facts: DeviceFacts): Piece[] {
  if (parts.length > 1) return [partsPiece(parts, mode, facts)];
  const [part] = parts;
  return rowsThatFit(part.weight, 1, facts).map(([first, rows]) => partsPiece([part], mode, facts, first, rows));
}

/** All rows of several parts, or the rows from `first` on of one. */
function partsPiece(
  parts: readonly Part[],
  mode: PartsProduct['mode'],
  facts: DeviceFacts,
  first = 0,
  rows = parts[0].weight.rows,
): Piece {
  const rowBytes = typeBytes(parts[0].weight.type, parts[0].weight.cols);
  const sliced = parts.map(({ weight }) =>
    parts.length === 1
      ? { ...weight.range, offset: weight.range.offset + first * rowBytes, bytes: rows * rowBytes }
      : weight.range,
  );
  const weights = cover(sliced, facts);
  const biases = parts.flatMap(({ bias }) => (bias ? [bias] : []));
  const coveredBiases = biases.length > 0 ? cover(biases, facts) : null;
  const outs = parts.map(({ out }) => cover([out], facts));
  const constants: Constants = { MODE: MODES[mode] };
  parts.forEach(({ weight, bias }, p) => {
    constants[`WIDTH_${p}`] = weight.rows;
    constants[`WEIGHTS_${p}`] = weights.offsets[p];
    constants[`OUT_${p}`] = outs[p].offsets[0] / 4 + first;
    constants[`HAS_BIAS_${p}`] = Number(bias !== null);
    constants[`BIAS_${p}`] = bias && coveredBiases ? coveredBiases.offsets[biases.indexOf(bias)] / 4 + first : 0;
  });
  if (parts.length === 1) constants.ROWS_0 = rows;
  return {
    weights: weights.range,
    outs: outs.map(({ range }) => range),
    biases: coveredBiases?.range ?? null,
    constants,
    matrixRows: parts.length === 1 ? [rows] : parts.map(({ weight }) => weight.rows),
  };
}

function gatedPieces({ gate, up, out }: GatedProduct, facts: DeviceFacts): Piece[] {
  const weights = cover([gate.range, up.range], facts);
  const covered = cover([out], facts);
  const constants = {
    WIDTH: gate.rows,
    ROWS: gate.rows,
    GATE: weights.offsets[0],
    UP: weights.offsets[1],
    OUT: covered.offsets[0] / 4,
  };
  return [{ weights: weights.range, outs: [covered.range], biases: null, constants, matrixRows: [gate.rows] }];
}

function firstWeight(product: Product): BoundWeight {
  return product.kind === 'gated' ? product.gate : product.parts[0].weight;
}

function matricesOf({ kind }: Product): number {
  return kind === 'gated' ? 2 : 1;
}

/** Groups of the rows of each part. */
function groupCountOf(matrixRows: readonly number[], product: Product, choice: Choice): number {
  const each = groupRows(choice) / matricesOf(product);
  return matrixRows.reduce((sum, count) => sum + Math.ceil(count / each), 0);
}

function groupCount(product: Product, choice: Choice): number {
  const rows = product.kind === 'gated' ? [product.gate.rows] : product.parts.map(({ weight }) => weight.rows);
  return groupCountOf(rows, product, choice);
}

function countIndex({ over }: Product): number {
  return over === 'rows' ? 0 : 1;
}

/** Loads of four values need rows of whole quads that start at one. */
function boundInput(product: Product, facts: DeviceFacts): { slot: BindingSlot; at: number; quads: boolean } {
  const { range, offsets } = cover([product.input], facts);
  const quads = firstWeight(product).cols % 4 === 0 && offsets[0] % 16 === 0;
  return { slot: { range, access: 'read' }, at: offsets[0] / (quads ? 16 : 4), quads };
}

function activationConstants(choice: Choice, input: number, rows: number, cols: number): Constants {
  if (choice.activations === 'f32') return { INPUT: input };
  const { SCALES, ...others } = scratchConstants(choice.activations, rows, cols);
  return choice.family === 'vector' ? { SCALES } : { SCALES, ...(others as Constants) };
}

/** Numbers 3 to 5. */
function outSlots(outs: readonly DeviceRange[]): BindingSlot[] {
  return [0, 1, 2].map((i) => (i < outs.length ? { range: outs[i], access: 'read-write' } : null));
}

function workgroups(choice: Choice, groups: number, rows: number): [number, number, number] {
  if (rows === 0) return [0, 0, 0];
  if (choice.family !== 'vector') return [Math.ceil(rows / tileRows(choice)), groups, 1];
  return spread(Math.ceil(groups / (choice.threads / choice.split)));
}

/** Activation rows of a tile. */
function tileRows(choice: TileChoice | MatrixChoice): number {
  return choice.family === 'tile' ? 16 * choice.tm : 32 * choice.fm;
}

/** So many workgroups, and some that find nothing to do where one dimension does not hold them. */
function spread(count: number): [number, number, number] {
  if (count <= GROUPS_X) return [count, count === 0 ? 0 : 1, 1];
  const y = Math.ceil(count / GROUPS_X);
  return [Math.ceil(count / y), y, 1];
}

function labelOf(product: Product, choice: Choice, rows: readonly number[]): string {
  const { type, cols } = firstWeight(product);
  const how = choice.family === 'vector' ? `${choice.columns} rows` : `${choice.family} of ${tileRows(choice)} rows`;
  const name = product.kind === 'gated' ? 'gated-matmul' : 'matmul';
  return `${name} ${TYPES[type].name} ${rows.join('+')} x ${cols}, ${how}`;
}
