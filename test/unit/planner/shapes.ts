// Requests in the shape of real models on a machine with an H100 (its rates are those of the design notes).
import type { PlanRequest, PlanUnit } from '../../../src/placement/request.js';

export const GIB = 2 ** 30;

export interface Shape {
  readonly vram?: number;
  readonly ram?: number;
  readonly layers?: number;
  /** How many of the row classes 1, 4, 16, 512. */
  readonly classes?: number;
  readonly cpu?: boolean;
  readonly overlapsKernels?: boolean;
  readonly sharesPages?: boolean;
  /** No two layers alike. */
  readonly distinct?: boolean;
  readonly hostIsDevice?: boolean;
}

const ROWS = [1, 4, 16, 512];
/** Q4_K of 8192 x (8192 + 2 x 1024 + 8192), 3 x 8192 x 28672 and 8192 x 128256. */
const [ATTENTION, FEED_FORWARD, OUTPUT] = [84_934_656, 396_361_728, 590_938_112];

const DRIVE = {
  bytesPerSecond: 6.5e9,
  requestSeconds: 2e-6,
  latencySeconds: 1e-4,
  queueDepth: 32,
  alignment: 4096,
  maxBytes: 1 << 20,
};
const LINK_CURVE = [
  { pieceBytes: 1 << 16, bytesPerSecond: 18e9 },
  { pieceBytes: 1 << 20, bytesPerSecond: 47e9 },
  { pieceBytes: 1 << 23, bytesPerSecond: 54e9 },
  { pieceBytes: 1 << 26, bytesPerSecond: 55e9 },
];

/** A 70B model in Q4_K: 162 units at 80 layers and an output head of two. */
export function llama70b(shape: Shape = {}): PlanRequest {
  const {
    vram = 15.5,
    ram = 100,
    layers = 80,
    classes = 1,
    cpu = true,
    overlapsKernels = true,
    sharesPages = true,
  } = shape;
  const rows = ROWS.slice(0, classes);
  let offset = 8_000_032;
  const unit = (bytes: number, tensors: number, attention: number, index: number): PlanUnit => {
    const ranges = Array.from({ length: tensors }, () => {
      const range = { file: 0, offset, bytes: Math.floor(bytes / tensors / 32) * 32 };
      offset += range.bytes;
      return range;
    });
    const work = rows.map((count) => ({
      deviceSeconds: (bytes / (shape.hostIsDevice ? 88e9 : 2e12)) * Math.max(1, count / 8) + attention,
      cpuSeconds: cpu ? (bytes / 88e9) * Math.max(1, count / 3) : null,
      deviceSecondsBesideCpu: attention,
    }));
    return { bytes: bytes + (shape.distinct ? index * 4096 : 0), ranges, work };
  };
  const units = Array.from({ length: layers }, (_, layer) => [
    unit(ATTENTION, 4, 2e-5, 2 * layer),
    unit(FEED_FORWARD, 3, 0, 2 * layer + 1),
  ]).flat();
  units.push(unit(OUTPUT / 2, 1, 0, 2 * layers), unit(OUTPUT / 2, 1, 0, 2 * layers + 1));
  const weights = [256, 16, 4, 1];
  const kv = { name: 'the KV cache', bytes: GIB / 2, bytesPerPosition: GIB / 2 / 2048 };
  return {
    units,
    classes: rows.map((maxRows, index) => {
      return { maxRows, weight: weights[index], overheadSeconds: 3e-4, handOverSeconds: 9e-5 };
    }),
    files: [{ bytes: offset + 4000, drive: 0 }],
    drives: [DRIVE],
    device: shape.hostIsDevice ? null : { bytes: Math.round(vram * GIB), residents: [kv] },
    host: { bytes: Math.round(ram * GIB), residents: shape.hostIsDevice ? [kv] : [] },
    link: shape.hostIsDevice ? null : { curve: LINK_CURVE, copySeconds: 6e-6, overlapsKernels, sharesPages },
    hostMemory: { total: 146e9, cpuBesideLink: 74e9, linkBesideCpu: 48e9 },
    context: 2048,
  };
}
