// Rates between the points that were measured.
import { type GgmlType, TYPES } from '../gguf/types.js';
import type { CopyRate, CpuRates, Machine, ProductRate, ProductRates } from './machine.js';

/**
 * Seconds of a product of `bytes` of weights with `rows` rows: between two points the time of a byte grows evenly with the
 * rows; beyond the last in proportion to them, as kernels then compute more than they read.
 */
export function productSeconds(points: readonly ProductRate[], bytes: number, rows: number): number {
  const last = points[points.length - 1];
  if (rows >= last.rows) return (bytes / last.rate) * (rows / last.rows);
  if (rows <= points[0].rows) return bytes / points[0].rate;
  const above = points.findIndex((point) => point.rows >= rows);
  const [low, high] = [points[above - 1], points[above]];
  const part = (rows - low.rows) / (high.rows - low.rows);
  return bytes * ((1 - part) / low.rate + part / high.rate);
}

/**
 * The points of a type; of one that was not measured, those of the measured type whose weights have the most similar number of
 * bits: the rate in bytes of related types differs little. Null where nothing was measured.
 */
export function pointsOf(products: ProductRates, type: GgmlType): readonly ProductRate[] | null {
  const known = products[type];
  if (known) return known;
  const names = Object.keys(products) as GgmlType[];
  if (names.length === 0) return null;
  const distance = (name: GgmlType) => Math.abs(Math.log(bitsOf(name) / bitsOf(type)));
  return products[names.reduce((nearest, name) => (distance(name) < distance(nearest) ? name : nearest))]!;
}

function bitsOf(type: GgmlType): number {
  const { blockBytes, blockWeights } = TYPES[type];
  return (8 * blockBytes) / blockWeights;
}

/** What the cpu backend reaches with `threads`, or with the nearest number that was measured; null where there is none. */
export function cpuRatesOf({ host }: Machine, threads: number): CpuRates | null {
  if (host.products.length === 0) return null;
  const distance = (rates: CpuRates) => Math.abs(rates.threads - threads);
  return host.products.reduce((nearest, rates) => (distance(rates) < distance(nearest) ? rates : nearest));
}

/** The faster of both kinds of pinned memory, by their largest copies. */
export function bestCopies({ link }: Machine): { copies: readonly CopyRate[]; writeCombined: boolean } | null {
  if (!link) return null;
  const { copies, writeCombined } = link;
  const largest = (points: readonly CopyRate[]) => points[points.length - 1].rate;
  // Memory that the host can read as well is worth a little.
  const gains = writeCombined !== null && largest(writeCombined) > 1.03 * largest(copies);
  return { copies: gains ? writeCombined : copies, writeCombined: gains };
}
