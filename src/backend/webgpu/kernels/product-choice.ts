// The table of kernels for products: which one for how many activation rows, on which device. Each line has its reason.
import { NtxError } from '../../../errors.js';
import { type GgmlType, typeBytes } from '../../../gguf/types.js';
import { isCoded } from '../flow.js';
import type { DeviceFacts } from '../kernel.js';
import { fixedLanes, isSoftware } from './launch.js';
import type { Choice, TileChoice, VectorChoice } from './product.js';

/** What a choice depends on, beside the device. */
export interface ProductShape {
  readonly type: GgmlType;
  readonly cols: number;
  /** Weight rows of all matrices. */
  readonly rows: number;
  /** Two matrices side by side, whose sums meet in one thread. */
  readonly gated: boolean;
  /** Results may go on as codes (flow.ts): a workgroup makes a whole block of 32 of them. */
  readonly inBlocks: boolean;
}

/** How kernels are cut for a kind of device. */
interface Cut {
  /** Most activation rows of the vector kernels: each decodes a weight once for all of them. */
  readonly vectorRows: readonly number[];
  /** Weight rows that a thread decodes side by side, which share the activations that it holds. */
  readonly lanes: (activations: 'f32' | 'int8', columns: number) => 1 | 2 | 4;
  /** Most threads of a workgroup. */
  readonly threads: number;
  /** Rows of q8_0 in quads: coalesced loads for more instructions. */
  readonly quads: boolean;
  /** Threads that keep the memory busy; with fewer groups of weight rows more threads share one. */
  readonly busyThreads: number;
  /** Tiles for as many activation rows as the key says, or more: (activation rows, weight rows) / 16. */
  readonly tiles: readonly { readonly rows: number; readonly tm: number; readonly tn: number }[];
}

const GPU: Cut = {
  vectorRows: [1, 2, 4, 8, 16],
  lanes: (activations, columns) => (activations === 'int8' || columns > 4 ? 2 : 4),
  threads: 1024,
  quads: true,
  busyThreads: 2 ** 17,
  tiles: [
    // Half of a tile of 64 rows would be empty.
    { rows: 32, tm: 2, tn: 8 },
    { rows: Number.POSITIVE_INFINITY, tm: 4, tn: 8 },
  ],
};

const SOFTWARE: Cut = {
  vectorRows: [1, 4, 16],
  lanes: () => 1,
  threads: 256,
  quads: false,
  busyThreads: 0,
  tiles: [{ rows: Number.POSITIVE_INFINITY, tm: 2, tn: 2 }],
};

const THREADS = 128;
/** The variants of a product up to `maxRows` activation rows, in ascending order. */
export function chooseProducts(
  shape: ProductShape,
  maxRows: number,
  facts: DeviceFacts,
): { maxRows: number; choice: Choice }[] {
  const cut = isSoftware(facts) ? SOFTWARE : GPU;
  const bounds = [...cut.vectorRows, ...cut.tiles.map(({ rows }) => rows)].filter((rows) => rows < maxRows);
  return [...bounds, maxRows].map((rows) => ({ maxRows: rows, choice: chooseProduct(shape, rows, cut, facts) }));
}

function chooseProduct(shape: ProductShape, rows: number, cut: Cut, facts: DeviceFacts): Choice {
  const coded = isCoded(shape.type) && facts.packedDot;
  // Four products an instruction, and a quarter of the loads of activations.
  const activations = coded ? 'int8' : 'f32';
  return rows > cut.vectorRows.at(-1)!
    ? chooseTile(rows, activations, cut, facts)
    : chooseVector(shape, { columns: rows, activations, cut }, facts);
}

function chooseVector(
  { type, cols, rows, gated, inBlocks }: ProductShape,
  { columns, activations, cut }: { columns: number; activations: 'f32' | 'int8'; cut: Cut },
  facts: DeviceFacts,
): VectorChoice {
  const { limits } = facts;
  // Partial sums have their places in workgroup memory by the subgroups' size.
  const fixed = fixedLanes(facts);
  const subgroup = fixed > 0 && fixed <= 64 ? fixed : 1;
  const tiles = gated ? 2 : 1;
  const most = Math.min(cut.threads, limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const inQuads = cut.quads && activations === 'int8' && type === 'Q8_0' && cols % 256 === 0;
  const items = itemsOf(type, cols, inQuads);
  const base = { family: 'vector', activations, inQuads, columns, tiles } as const;
  const wantedLanes = cut.lanes(activations, columns);
  // A block of 32 results fits into a workgroup of any device with four rows a thread.
  const few = inBlocks && (32 / wantedLanes) * subgroup > most;
  for (let lanes = few ? 4 : wantedLanes; ; lanes = lanes === 4 ? 2 : 1) {
    const wanted = (cut.busyThreads * tiles * lanes) / rows;
    // Of a workgroup that makes a block of 32 results.
    const groups = inBlocks ? 32 / lanes : 1;
    let split = inBlocks ? subgroup : Math.max(32, subgroup);
    while (split < wanted && split * 2 * groups <= most && split * 2 <= items) split *= 2;
    // Without subgroups every thread's sums lie in workgroup memory.
    const bytesOf = (threads: number) =>
      (threads / subgroup) * columns * tiles * lanes * 4 + (inBlocks ? 32 * columns * 8 : 0);
    if (lanes === 1 && subgroup === 1) while (bytesOf(split) > limits.maxComputeWorkgroupStorageSize) split /= 2;
    const threads = inBlocks ? split * groups : subgroup === 1 ? split : Math.max(split, Math.min(THREADS, most));
    if (threads <= most && bytesOf(threads) <= limits.maxComputeWorkgroupStorageSize) {
      return { ...base, lanes, split, threads, subgroup };
    }
    if (lanes === 1) throw new NtxError('internal', `no vector kernel of ${most} threads for ${type}`, 'report this');
  }
}

/** What the threads of a group share out: 8 or more weights at a time. */
function itemsOf(type: GgmlType, cols: number, inQuads: boolean): number {
  if (inQuads) return typeBytes(type, cols) / 16;
  return cols / (isCoded(type) ? 32 : 4);
}

function chooseTile(rows: number, activations: 'f32' | 'int8', cut: Cut, { limits }: DeviceFacts): TileChoice {
  const { tm, tn } = cut.tiles.find((tile) => rows <= tile.rows)!;
  // 128 weight rows make the most of each load; 64 fit into any device's workgroup memory.
  const fitting = tileBytes(tm, tn) <= limits.maxComputeWorkgroupStorageSize ? tn : 4;
  return { family: 'tile', activations, tm, tn: fitting };
}

/** Workgroup memory of a tile, at most: quads, scales and offsets of 16 weights each (matmul.tile-int8.wgsl). */
function tileBytes(tm: number, tn: number): number {
  return 16 * (tm + tn) * 64 + 16 * tn * 4 * 4 * 2 + 16 * tm * (2 + 4) * 4;
}
