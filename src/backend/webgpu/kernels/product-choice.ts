// The table of kernels for products: which one for how many activation rows, on which device. Each line has its reason.
import { type GgmlType, TYPES } from '../../../gguf/types.js';
import type { DeviceFacts } from '../kernel.js';
import type { Choice, MatrixChoice, TileChoice, VectorChoice } from './product.js';

/** What a choice depends on, beside the device. */
export interface ProductShape {
  readonly type: GgmlType;
  readonly cols: number;
  /** Weight rows of all matrices. */
  readonly rows: number;
  /** Two matrices side by side, whose sums meet in one thread. */
  readonly gated: boolean;
}

/** How kernels are cut for a kind of device. */
interface Cut {
  /** Most activation rows of the vector kernels: each decodes a weight once for all of them. */
  readonly vectorRows: readonly number[];
  /** Weight rows that a thread decodes side by side, which share the activations that it holds. */
  readonly lanes: 1 | 2 | 4;
  /**
   * From so many activation rows on their codes of 8 bits are multiplied: four products an instruction outweigh the dispatch
   * that rounds them.
   */
  readonly int8Rows: number;
  /** Threads that keep the memory busy; with fewer groups of weight rows more threads share one. */
  readonly busyThreads: number;
  /** Tiles for as many activation rows as the key says, or more: (activation rows, weight rows) / 16. */
  readonly tiles: readonly { readonly rows: number; readonly tm: number; readonly tn: number }[];
  /** More rows than this go to matrix units, where there are ones for bytes. */
  readonly matrixRows: number;
}

const GPU: Cut = {
  vectorRows: [1, 2, 4, 8, 16],
  lanes: 4,
  int8Rows: 4,
  busyThreads: 2 ** 17,
  // Not yet: on an H100 the matrix kernel gave wrong sums, at 16 TFLOP/s where the tiles of 8-bit products reach 57.
  matrixRows: Number.POSITIVE_INFINITY,
  tiles: [
    // Half of a tile of 64 rows would be empty.
    { rows: 32, tm: 2, tn: 8 },
    { rows: Number.POSITIVE_INFINITY, tm: 4, tn: 8 },
  ],
};

/** Software compiles a kernel for seconds and runs its threads one after another: what matters is less code. */
const SOFTWARE: Cut = {
  vectorRows: [1, 4, 16],
  lanes: 1,
  int8Rows: 4,
  busyThreads: 0,
  matrixRows: Number.POSITIVE_INFINITY,
  tiles: [{ rows: Number.POSITIVE_INFINITY, tm: 2, tn: 2 }],
};

/** lavapipe and SwiftShader. */
const SOFTWARE_VENDORS = ['mesa', 'google'];

const THREADS = 128;
/** Tiles of matmul.matrix.wgsl, the best first: (32 activation rows, 64 weight rows). */
const MATRIX_TILES = [
  { fm: 2, fn: 2 },
  { fm: 2, fn: 1 },
] as const;

/** The variants of a product up to `maxRows` activation rows, in ascending order. */
export function chooseProducts(
  shape: ProductShape,
  maxRows: number,
  facts: DeviceFacts,
): { maxRows: number; choice: Choice }[] {
  const cut = SOFTWARE_VENDORS.includes(facts.vendor) ? SOFTWARE : GPU;
  const bounds = [...cut.vectorRows, ...cut.tiles.map(({ rows }) => rows)].filter((rows) => rows < maxRows);
  return [...bounds, maxRows].map((rows) => ({ maxRows: rows, choice: chooseProduct(shape, rows, cut, facts) }));
}

function chooseProduct(shape: ProductShape, rows: number, cut: Cut, facts: DeviceFacts): Choice {
  const coded = TYPES[shape.type].blockWeights > 1 && facts.packedDot;
  const matrix = coded && rows > cut.matrixRows ? chooseMatrix(facts) : undefined;
  if (matrix) return matrix;
  const activations = coded && rows >= cut.int8Rows ? 'int8' : 'f32';
  const columns = cut.vectorRows.find((count) => count >= rows);
  return columns === undefined
    ? chooseTile(rows, activations, cut, facts)
    : chooseVector(shape, { columns, activations, cut }, facts);
}

function chooseVector(
  { type, cols, rows, gated }: ProductShape,
  { columns, activations, cut }: { columns: number; activations: 'f32' | 'int8'; cut: Cut },
  { limits, ...facts }: DeviceFacts,
): VectorChoice {
  // Sums through subgroups only where all have one size: partial sums have their places in workgroup memory.
  const fixed = facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize && facts.subgroupMaxSize <= 64;
  const subgroup = fixed ? facts.subgroupMaxSize : 1;
  const tiles = gated ? 2 : 1;
  const most = Math.min(256, limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const items = cols / (TYPES[type].blockWeights > 1 ? 32 : 4);
  const base = { family: 'vector', activations, columns, tiles } as const;
  for (let lanes = cut.lanes; ; lanes = lanes === 4 ? 2 : 1) {
    const wanted = (cut.busyThreads * tiles * lanes) / rows;
    let split = Math.max(32, subgroup);
    while (split < wanted && split * 2 <= Math.min(most, items)) split *= 2;
    const threads = subgroup === 1 ? split : Math.max(split, Math.min(THREADS, most));
    // Without subgroups every thread's sums lie in workgroup memory.
    const bytes = (threads / subgroup) * columns * tiles * lanes * 4;
    if (lanes === 1 || bytes <= limits.maxComputeWorkgroupStorageSize) {
      return { ...base, lanes, split, threads, subgroup };
    }
  }
}

function chooseTile(rows: number, activations: 'f32' | 'int8', cut: Cut, { limits }: DeviceFacts): TileChoice {
  const { tm, tn } = cut.tiles.find((tile) => rows <= tile.rows)!;
  // 128 weight rows make the most of each load; 64 fit into any device's workgroup memory.
  const fitting = tileBytes(tm, tn) <= limits.maxComputeWorkgroupStorageSize ? tn : 4;
  return { family: 'tile', activations, tm, tn: fitting, ahead: activations === 'int8' };
}

/** Workgroup memory of a tile, at most: quads, scales and offsets of 16 weights each (matmul.tile-int8.wgsl). */
function tileBytes(tm: number, tn: number): number {
  return 16 * (tm + tn) * 64 + 16 * tn * 4 * 4 * 2 + 16 * tm * (2 + 4) * 4;
}

/** Undefined where the device has no matrix units for signed bytes of the size that the kernel is written for. */
export function chooseMatrix(facts: DeviceFacts): MatrixChoice | undefined {
  const { subgroupMatrices, subgroupMinSize, subgroupMaxSize, limits } = facts;
  const supported = subgroupMatrices.some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'i8' && resultComponentType === 'i32' && M === 16 && N === 16 && K === 32,
  );
  if (!supported || subgroupMinSize !== 32 || subgroupMaxSize !== 32) return undefined;
  const size = MATRIX_TILES.find(({ fm, fn }) => matrixBytes(fm, fn) <= limits.maxComputeWorkgroupStorageSize);
  return size && { family: 'matrix', activations: 'fixed', ...size };
}

/** Workgroup memory of matmul.matrix.wgsl: two planes of bytes of both operands, and sums. */
function matrixBytes(fm: number, fn: number): number {
  return 2 * (32 * fm + 64 * fn) * 80 + 32 * 64 * fn * 4;
}
