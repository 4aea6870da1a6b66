// How fast the kernels of a backend get through weights, by type and rows.
import type {
  Backend,
  Bindings,
  BoundWeight,
  CommandList,
  DeviceInfo,
  DeviceMemory,
  Fence,
} from '../../backend/backend.js';
import type { Op } from '../../backend/ops.js';
import { StepBuffer } from '../../backend/step.js';
import { type GgmlType, typeBytes } from '../../gguf/types.js';
import { hostMemory } from '../budget.js';
import type { ProductRate, ProductRates } from '../machine.js';
import { lastLevelCacheBytes } from './caches.js';
import { type Allowance, type Clock, fastestOfMany } from './timing.js';

/** Columns of every matrix: the width of an 8B model, a multiple of every type's block. */
const COLS = 4096;
/** Of the processor's caches. */
const CACHES = 4;
const PART_OF_FREE = 0.25;
/** Every device accepts such offsets. */
const ALIGNMENT = 256;
/** What is measured with; the cyclic read of all matrices has to be beyond the caches. */
export interface ProductSizes {
  readonly totalBytes: number;
  readonly matrixBytes: number;
  readonly rows: readonly number[];
  /** With more rows than this kernels compute more than they read: one matrix is enough, and many would take long. */
  readonly readingRows: number;
  /** Of the matrices, for rows from 2 to readingRows: a processor takes several times as long with them. */
  readonly severalPart: number;
}

/** For a kind of device: slow ones get less to do. */
export function productSizes({ backend, kind }: DeviceInfo, freeBytes = hostMemory().freeBytes): ProductSizes {
  const mebibyte = 2 ** 20;
  if (backend === 'reference' || kind === 'software-gpu') {
    return { totalBytes: mebibyte, matrixBytes: mebibyte / 4, rows: [1, 16], readingRows: 1, severalPart: 1 };
  }
  const rows = [1, 4, 16, 128];
  if (kind === 'cpu') {
    // Servers keep hundreds of megabytes in their caches: rates would be twice what a model's weights come at.
    const beyondCaches = Math.ceil((CACHES * lastLevelCacheBytes()) / (16 * mebibyte)) * 16 * mebibyte;
    // In a small control group the kernel would end the process.
    const afforded = Math.floor((PART_OF_FREE * freeBytes) / (16 * mebibyte)) * 16 * mebibyte;
    const wanted = Math.min(512 * mebibyte, Math.max(128 * mebibyte, beyondCaches));
    const totalBytes = Math.max(32 * mebibyte, Math.min(wanted, afforded));
    return { totalBytes, matrixBytes: 16 * mebibyte, rows, readingRows: 16, severalPart: 0.25 };
  }
  return { totalBytes: 256 * mebibyte, matrixBytes: 32 * mebibyte, rows, readingRows: 16, severalPart: 1 };
}

/**
 * Rates of the types in their order, as far as the allowance goes; the first is always measured.
 * @param weights of the backend, with any content that is no NaN; sizes.totalBytes, or less than that is measured with
 */
export async function measureProducts(
  backend: Backend,
  weights: DeviceMemory,
  types: readonly GgmlType[],
  sizes: ProductSizes,
  allowance: Allowance,
): Promise<ProductRates> {
  const rates: Partial<Record<GgmlType, readonly ProductRate[]>> = {};
  let slowest = 0;
  for (const [index, type] of types.entries()) {
    if (index > 0 && allowance.left() < slowest) break;
    const begin = allowance.now();
    rates[type] = await measureType(backend, weights, type, sizes, allowance);
    slowest = Math.max(slowest, allowance.now() - begin);
  }
  return rates;
}

/** Point by point the faster of two measurements: what disturbs one only makes it slower. */
export function bestProducts(first: ProductRates, second: ProductRates): ProductRates {
  const merged = Object.entries(first).map(([type, points]) => {
    const others = second[type as GgmlType] ?? [];
    const best = points.map(({ rows, rate }) => {
      return { rows, rate: Math.max(rate, others.find((other) => other.rows === rows)?.rate ?? 0) };
    });
    return [type, best];
  });
  return Object.fromEntries(merged);
}

/** An assumption for the types that were not measured. */
export function noteMissing(types: readonly GgmlType[], rates: object, where: string, assumptions: string[]): void {
  const missing = types.filter((type) => !(type in rates));
  if (missing.length === 0) return;
  assumptions.push(`no time was left for ${missing.join(', ')} on the ${where}: rates of similar types stand in`);
}

async function measureType(
  backend: Backend,
  weights: DeviceMemory,
  type: GgmlType,
  sizes: ProductSizes,
  { now }: Allowance,
): Promise<ProductRate[]> {
  const matrices = matricesOf(weights, type, sizes);
  const rates: ProductRate[] = [];
  const several = Math.ceil(matrices.length * sizes.severalPart);
  for (const [count, wanted] of [
    [matrices.length, sizes.rows.filter((rows) => rows === 1)],
    [several, sizes.rows.filter((rows) => rows > 1 && rows <= sizes.readingRows)],
    [1, sizes.rows.filter((rows) => rows > sizes.readingRows)],
  ] as const) {
    if (wanted.length === 0) continue;
    const runner = new ProductRunner(backend, matrices.slice(0, count), Math.max(...wanted));
    try {
      await runner.ready();
      for (const rows of wanted) {
        const seconds = await fastestOfMany((repeats) => runner.run(rows, repeats), now);
        rates.push({ rows, rate: runner.bytes / seconds });
      }
    } finally {
      runner.dispose();
    }
  }
  return rates;
}

/** As many of a type as there are sizes and weights for, one behind another. */
function matricesOf(weights: DeviceMemory, type: GgmlType, sizes: ProductSizes): BoundWeight[] {
  const rowBytes = typeBytes(type, COLS);
  const fitting = Math.floor(Math.min(sizes.matrixBytes, weights.bytes) / rowBytes);
  // Of floats fewer than 32 may fit.
  const rows = fitting < 32 ? fitting : Math.floor(fitting / 32) * 32;
  const bytes = rows * rowBytes;
  const stride = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  const count = Math.max(1, Math.floor(Math.min(sizes.totalBytes, weights.bytes) / stride));
  return Array.from({ length: count }, (_, index) => {
    return { type, rows, cols: COLS, range: { memory: weights, offset: index * stride, bytes } };
  });
}

/** Products of one row without a pause, for what is measured beside something else. */
export class SteadyProducts {
  readonly #runner: ProductRunner;

  constructor(backend: Backend, weights: DeviceMemory, type: GgmlType, sizes: ProductSizes) {
    this.#runner = new ProductRunner(backend, matricesOf(weights, type, sizes), 1);
  }

  async warmUp(): Promise<void> {
    await this.#runner.ready();
    await this.#runner.run(1, 1);
  }

  /** Bytes of weights a second, on average over about so many seconds. */
  async rateOver(seconds: number, now: Clock): Promise<number> {
    const begin = now();
    // While one is waited for, the next one runs.
    let next = this.#runner.submit(1);
    let count = 0;
    do {
      const current = next;
      next = this.#runner.submit(1);
      await this.#runner.wait(current);
      count++;
    } while (now() - begin < seconds);
    const rate = (count * this.#runner.bytes) / (now() - begin);
    await this.#runner.wait(next);
    return rate;
  }

  dispose(): void {
    this.#runner.dispose();
  }
}

/** A list of products of one input with several matrices, one after another. */
class ProductRunner {
  /** Of all weights. */
  readonly bytes: number;
  readonly #buffers: DeviceMemory[] = [];
  readonly #list: CommandList;

  constructor(
    private readonly backend: Backend,
    matrices: readonly BoundWeight[],
    private readonly maxRows: number,
  ) {
    this.bytes = matrices.reduce((sum, { range }) => sum + range.bytes, 0);
    const buffer = (name: string, width: number) => {
      const bytes = maxRows * width * 4;
      const memory = backend.allocateDevice(bytes, name);
      this.#buffers.push(memory);
      return [name, { memory, offset: 0, bytes }] as const;
    };
    const bindings: Bindings = {
      weights: new Map(matrices.map((matrix, index) => [`w${index}`, matrix])),
      buffers: new Map([buffer('x', COLS), buffer('y', matrices[0].rows)]),
      sizes: { maxRows, maxOutputs: 1, slots: 1, context: maxRows },
    };
    const ops = matrices.map(
      (_, index): Op => ({
        kind: 'matmul',
        input: 'x',
        parts: [{ weight: `w${index}`, bias: null, out: 'y' }],
        accumulate: false,
        outputs: false,
      }),
    );
    this.#list = backend.record(ops, bindings);
  }

  async ready(): Promise<void> {
    await this.#list.ready?.();
  }

  submit(rows: number): Fence {
    const step = new StepBuffer(this.maxRows, 1);
    for (let row = 0; row < rows; row++) step.addRow(0, row, 0);
    return this.backend.submit(this.#list, step);
  }

  async wait(fence: Fence): Promise<void> {
    await this.backend.wait(fence);
  }

  async run(rows: number, repeats: number): Promise<void> {
    for (let repeat = 1; repeat < repeats; repeat++) this.submit(rows);
    await this.wait(this.submit(rows));
  }

  dispose(): void {
    this.#list.dispose();
    for (const memory of this.#buffers) memory.free();
  }
}
