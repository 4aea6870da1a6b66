// Products of activation rows with weight matrices, as dispatches: what matmul and gated-matmul share.
import { TYPES, typeBytes } from '../../../gguf/types.js';
import type { BoundWeight, DeviceRange } from '../../backend.js';
import { CODED_ROWS, type OpFlow } from '../flow.js';
import type { BindingSlot, DeviceFacts, Dispatch } from '../kernel.js';
import { codeRowsDispatch } from './code-rows.js';
import { cover, rowsThatFit } from './product-ranges.js';
import { type ProductTextOptions, productText, quantizeText } from './product-text.js';

/** How a product is computed; product-choice.ts has the table. */
export type Choice = VectorChoice | TileChoice;

/** For few activation rows: threads share weight rows and split their columns (matmul.vector.wgsl). */
export interface VectorChoice {
  readonly family: 'vector';
  /** What weights are multiplied with: the activations, or their codes of 8 bits (code-rows.write.wgsl). */
  readonly activations: 'f32' | 'int8';
  /** q8_0 in quads of its bytes (matmul.vector-q8_0.wgsl). */
  readonly inQuads: boolean;
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
}

export interface Part {
  readonly weight: BoundWeight;
  readonly bias: DeviceRange | null;
  readonly out: DeviceRange;
}

/** What products of few rows (vector choices of int8) do with activations. */
interface Handed {
  readonly input: DeviceRange;
  /** How `input` and results are coded (flow.ts); absent: f32. */
  readonly flow?: Pick<OpFlow, 'input' | 'output'>;
}

/** Matrices of one type over one input, computed by one dispatch. */
export interface PartsProduct extends Handed {
  readonly kind: 'parts';
  /** One to three. */
  readonly parts: readonly Part[];
  /** `gate`: out = silu(out) * product, for one part. */
  readonly mode: 'store' | 'accumulate' | 'gate';
  readonly over: 'rows' | 'outputs';
}

/** out = silu(input . gate) * (input . up); both of one type. */
export interface GatedProduct extends Handed {
  readonly kind: 'gated';
  readonly gate: BoundWeight;
  readonly up: BoundWeight;
  readonly out: DeviceRange;
  readonly over: 'rows';
}

export type Product = PartsProduct | GatedProduct;

type Constants = Record<string, number>;
type CodedOutput = NonNullable<OpFlow['output']>;

const MODES = { store: 0, accumulate: 1, gate: 2 } as const;
/** Threads of a workgroup that rounds activations, a block each. */
const QUANTIZE_THREADS = 64;
/** Below the guaranteed limit of workgroups in a dimension; more go to the second one. */
const GROUPS_X = 32768;

/** Rows of weights in a group: what matmul.vector.wgsl and matmul.tile.wgsl call GROUP. */
export function groupRows(choice: Choice): number {
  if (choice.family === 'vector') return choice.tiles * choice.lanes;
  return 16 * choice.tn;
}

/** Bytes of scratch that a choice needs for `rows` rows of activations. */
export function scratchBytes(product: Product, choice: Choice, rows: number): number {
  const { cols } = firstWeight(product);
  if (choice.activations === 'f32') return 0;
  if (choice.family === 'vector') return product.flow?.input ? 0 : vectorBytes(rows, cols);
  return tileBytes(rows, cols);
}

/** The same of any choice on any device, for up to `rows` rows. */
export function mostScratchBytes(rows: number, cols: number): number {
  const vector = vectorBytes(Math.min(rows, CODED_ROWS), cols);
  return rows > CODED_ROWS ? Math.max(vector, tileBytes(rows, cols)) : vector;
}

function vectorBytes(rows: number, cols: number): number {
  return 4 * rows * cols;
}

/** Codes, a scale and a sum of each 32. */
function tileBytes(rows: number, cols: number): number {
  return rows * cols + (rows * cols) / 8 + (rows * cols) / 4;
}

/** Where the parts of scratch start, in words (matmul.quantize.wgsl). */
function scratchConstants(rows: number, cols: number) {
  const codeWords = (rows * cols) / 4;
  return { SCALES: codeWords, SUMS: codeWords + (rows * cols) / 32 };
}

/** The dispatch that leaves the activations of at most `rows` rows in scratch; none for `f32` and for coded input. */
export function inputDispatches(product: Product, choice: Choice, rows: number, facts: DeviceFacts): Dispatch[] {
  if (choice.activations === 'f32') return [];
  const { cols } = firstWeight(product);
  if (choice.family === 'vector') {
    if (product.flow?.input) return [];
    return [codeRowsDispatch({ input: product.input, width: cols, out: null, norm: null }, facts)];
  }
  const input = boundInput(product, facts);
  return [
    {
      label: `quantize ${cols}`,
      code: quantizeText(input.quads),
      constants: {
        ...scratchConstants(rows, cols),
        K: cols,
        COUNT: countIndex(product),
        THREADS: QUANTIZE_THREADS,
        INPUT: input.at,
      },
      bindings: [null, input.slot, 'counts', 'scratch'],
      groups: (count) => spread(Math.ceil((count * cols) / 32 / QUANTIZE_THREADS)),
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
  const input = boundInput(product, facts);
  const hasBiases = product.kind === 'parts' && product.parts.some(({ bias }) => bias !== null);
  const text: ProductTextOptions = {
    type,
    choice,
    quadInput: input.quads,
    factors: (product.flow?.input?.eps ?? null) !== null,
    epilogue: epilogueOf(product, hasBiases),
  };
  const code = productText(text);
  const common: Constants = {
    K: cols,
    ROW_BYTES: typeBytes(type, cols),
    COUNT: countIndex(product),
    ...(choice.family === 'vector' ? { THREADS: choice.threads, SPLIT: choice.split, SUBGROUP: choice.subgroup } : {}),
    ...activationConstants(choice, product, rows, facts),
  };
  const pieces = product.kind === 'gated' ? gatedPieces(product, facts) : partsPieces(product, facts);
  const coded = codedInput(product, choice, facts);
  return pieces.map(({ weights, outs, biases, constants, matrixRows }): Dispatch => {
    const groups = groupCountOf(matrixRows, product, choice);
    return {
      label: labelOf(product, choice, matrixRows),
      code,
      constants: { ...common, ...constants },
      bindings: [
        { range: weights, access: 'read' },
        coded ?? input.slot,
        'counts',
        ...outs,
        biases && { range: biases, access: 'read' },
        coded,
      ],
      groups: (count) => workgroups(choice, groups, count),
      weightBytes: matrixRows.reduce((sum, count) => sum + count, 0) * typeBytes(type, cols) * matricesOf(product),
    };
  });
}

function epilogueOf(product: Product, biases: boolean): ProductTextOptions['epilogue'] {
  const coded = Boolean(product.flow?.output);
  return product.kind === 'gated'
    ? { kind: 'gated', coded }
    : { kind: 'parts', parts: product.parts.length as 1 | 2 | 3, biases, coded };
}

/** Where coded activations are; null for f32. */
function codedInput(product: Product, choice: Choice, facts: DeviceFacts): BindingSlot {
  if (choice.activations === 'f32') return null;
  return product.flow?.input ? { range: cover([product.input], facts).range, access: 'read' } : 'scratch-read';
}

/** A dispatch's part of a product. */
interface Piece {
  readonly weights: DeviceRange;
  /** Numbers 3 to 5. */
  readonly outs: readonly BindingSlot[];
  readonly biases: DeviceRange | null;
  readonly constants: Constants;
  /** Of each part. */
  readonly matrixRows: readonly number[];
}

function partsPieces(product: PartsProduct, facts: DeviceFacts): Piece[] {
  const { parts, mode } = product;
  if (parts.length > 1) return [partsPiece(parts, mode, facts)];
  if (product.flow?.output) return [codedPiece(product, product.flow.output, facts)];
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
    constants[`ROWS_${p}`] = parts.length === 1 ? rows : weight.rows;
    constants[`WEIGHTS_${p}`] = weights.offsets[p];
    constants[`OUT_${p}`] = outs[p].offsets[0] / 4 + first;
    constants[`HAS_BIAS_${p}`] = Number(bias !== null);
    constants[`BIAS_${p}`] = bias && coveredBiases ? coveredBiases.offsets[biases.indexOf(bias)] / 4 + first : 0;
  });
  return {
    weights: weights.range,
    outs: outSlots(outs.map(({ range }) => range)),
    biases: coveredBiases?.range ?? null,
    constants,
    matrixRows: parts.length === 1 ? [rows] : parts.map(({ weight }) => weight.rows),
  };
}

/** One part whose sum with the residual goes on as codes. */
function codedPiece({ parts: [part] }: PartsProduct, output: CodedOutput, facts: DeviceFacts): Piece {
  const piece = partsPiece([part], 'accumulate', facts);
  const { MODE: _, ROWS_0: __, ...constants } = piece.constants;
  const coded = cover([output.out], facts);
  const norm = cover([output.norm!], facts);
  return {
    ...piece,
    outs: [piece.outs[0], { range: coded.range, access: 'read-write' }, { range: norm.range, access: 'read' }],
    constants: {
      ...(constants as Constants),
      CODED_WIDTH: part.weight.rows,
      CODED: coded.offsets[0] / 4,
      NORM: norm.offsets[0] / 4,
    },
  };
}

function gatedPieces({ gate, up, out, flow }: GatedProduct, facts: DeviceFacts): Piece[] {
  const weights = cover([gate.range, up.range], facts);
  const covered = cover([out], facts);
  const constants = { ROWS: gate.rows, GATE: weights.offsets[0], UP: weights.offsets[1] };
  const at = covered.offsets[0] / 4;
  return [
    {
      weights: weights.range,
      outs: outSlots([covered.range]),
      biases: null,
      constants: {
        ...constants,
        ...(flow?.output ? { CODED_WIDTH: gate.rows, CODED: at } : { WIDTH: gate.rows, OUT: at }),
      },
      matrixRows: [gate.rows],
    },
  ];
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

function countIndex({ over }: Product): number {
  return over === 'rows' ? 0 : 1;
}

/** Loads of four values need rows of whole quads that start at one. */
function boundInput(product: Product, facts: DeviceFacts): { slot: BindingSlot; at: number; quads: boolean } {
  const { range, offsets } = cover([product.input], facts);
  const quads = firstWeight(product).cols % 4 === 0 && offsets[0] % 16 === 0;
  return { slot: { range, access: 'read' }, at: offsets[0] / (quads ? 16 : 4), quads };
}

function activationConstants(choice: Choice, product: Product, rows: number, facts: DeviceFacts): Constants {
  if (choice.activations === 'f32') return { INPUT: boundInput(product, facts).at };
  if (choice.family === 'tile') return scratchConstants(rows, firstWeight(product).cols);
  const eps = product.flow?.input?.eps ?? null;
  return {
    INPUT: product.flow?.input ? cover([product.input], facts).offsets[0] / 4 : 0,
    ...(eps !== null && { EPS: eps }),
  };
}

/** Numbers 3 to 5. */
function outSlots(outs: readonly DeviceRange[]): BindingSlot[] {
  return [0, 1, 2].map((i) => (i < outs.length ? { range: outs[i], access: 'read-write' } : null));
}

function workgroups(choice: Choice, groups: number, rows: number): [number, number, number] {
  if (rows === 0) return [0, 0, 0];
  if (choice.family === 'tile') return [Math.ceil(rows / tileRows(choice)), groups, 1];
  return spread(Math.ceil(groups / (choice.threads / choice.split)));
}

/** Activation rows of a tile. */
function tileRows({ tm }: TileChoice): number {
  return 16 * tm;
}

/** So many workgroups, and some that find nothing to do where one dimension does not hold them. */
function spread(count: number): [number, number, number] {
  if (count <= GROUPS_X) return [count, count === 0 ? 0 : 1, 1];
  const y = Math.ceil(count / GROUPS_X);
  return [Math.ceil(count / y), y, 1];
}

function labelOf(product: Product, choice: Choice, rows: readonly number[]): string {
  const { type, cols } = firstWeight(product);
  const how = choice.family === 'vector' ? `${choice.columns} rows` : `tile of ${tileRows(choice)} rows`;
  const name = product.kind === 'gated' ? 'gated-matmul' : 'matmul';
  return `${name} ${TYPES[type].name} ${rows.join('+')} x ${cols}, ${how}`;
}
