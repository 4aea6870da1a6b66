// Random requests, and the planner's WASM without what planModel does around it.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { PlanRequest, PlanUnit, RowClass } from '../../../src/placement/request.js';
import { type AnswerWords, decodeAnswer, encodeRequest, type PlacementKind } from '../../../src/placement/wire.js';

interface PlannerExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  reserve(words: number): number;
  plan(): number;
  echo(): number;
  words(): number;
}

/** Node has it; its declarations come only with those of a browser. */
interface WebAssemblyGlobal {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
const compiled = new WebAssembly.Module(readFileSync(new URL('../../../dist/planner.wasm', import.meta.url)));

/** What the WASM's `entry` answers to these words. A trap throws. */
export function callPlanner(entry: 'plan' | 'echo', words: Float64Array): Float64Array {
  const abort = () => {
    throw new Error('the planner stopped at a failed check');
  };
  const planner = new WebAssembly.Instance(compiled, { env: { abort } }).exports as PlannerExports;
  const at = planner.reserve(words.length) >>> 0;
  new Float64Array(planner.memory.buffer, at, words.length).set(words);
  const answer = planner[entry]() >>> 0;
  return new Float64Array(planner.memory.buffer, answer, planner.words()).slice();
}

export function askPlanner(request: PlanRequest, kind: PlacementKind = 'free'): AnswerWords {
  return decodeAnswer(callPlanner('plan', encodeRequest(request, kind)), request);
}

export interface Sizes {
  readonly units: readonly [number, number];
  readonly classes: readonly [number, number];
}

const MIB = 2 ** 20;
/** Evenly spread, which fc.double is not: half of its values lie near 0. */
const between = (min: number, max: number) =>
  fc.integer({ min: 0, max: 1 << 20 }).map((step) => min + ((max - min) * step) / (1 << 20));
const chance = (share: number) => between(0, 1).map((value) => value < share);

/** A unit before its tensors are laid out in files. */
interface Sketch {
  readonly bytes: number;
  readonly tensors: number;
  readonly gap: number;
  readonly file: number;
  readonly deviceRate: number;
  readonly cpuRate: number;
  readonly onCpu: boolean;
}

const sketch = fc.record({
  bytes: between(0, 1).map((share) => 1 + Math.round(200 * MIB * share ** 3)),
  tensors: fc.integer({ min: 1, max: 4 }),
  gap: fc.integer({ min: 0, max: 1 << 17 }),
  file: fc.nat(1 << 20),
  deviceRate: between(2e10, 3e12),
  cpuRate: between(1e9, 4e10),
  onCpu: chance(0.7),
});

function layOut(sketches: readonly Sketch[], files: number, classes: readonly RowClass[]) {
  const ends = Array.from({ length: files }, () => 4096 * 3 + 32);
  const units = sketches.map(({ bytes, tensors, gap, file, deviceRate, cpuRate, onCpu }): PlanUnit => {
    const index = file % files;
    const ranges = Array.from({ length: tensors }, (_, tensor) => {
      const part = Math.floor((bytes * (tensor + 1)) / tensors) - Math.floor((bytes * tensor) / tensors);
      const offset = Math.ceil(ends[index] / 32) * 32;
      ends[index] = offset + part + gap;
      return { file: index, offset, bytes: part };
    }).filter((range) => range.bytes > 0);
    const work = classes.map(({ maxRows }) => ({
      deviceSeconds: (bytes / deviceRate) * Math.max(1, maxRows / 16) + 1e-5,
      cpuSeconds: onCpu ? (bytes / cpuRate) * Math.max(1, maxRows / 4) : null,
      deviceSecondsBesideCpu: 1e-5,
    }));
    return { bytes, ranges, work };
  });
  return { units, fileBytes: ends.map((end) => end + 1000) };
}

const drive = fc
  .record({
    bytesPerSecond: between(2e8, 1.4e10),
    requestSeconds: between(0, 2e-5),
    latencySeconds: between(1e-5, 1e-3),
    queueDepth: fc.integer({ min: 1, max: 64 }),
    alignment: fc.constantFrom(1, 512, 4096),
    requests: fc.integer({ min: 16, max: 2048 }),
  })
  .map(({ requests, ...drive }) => ({ ...drive, maxBytes: requests * 4096 }));

/** Budgets from far too little to more than enough: a share of all units, and room for some of the largest. */
function budget(sketches: readonly Sketch[], { share, rooms }: { share: number; rooms: number }, name: string) {
  const total = sketches.reduce((sum, { bytes }) => sum + bytes, 0);
  const bytes = Math.round(total * share + rooms * Math.max(...sketches.map((unit) => unit.bytes)));
  return { bytes: bytes + 1000, residents: [{ name, bytes: 1000, bytesPerPosition: 0 }] };
}

/** Requests of a machine with a device of its own, or (`hostIsDevice`) without. */
export function requests({ units, classes }: Sizes, hostIsDevice = false): fc.Arbitrary<PlanRequest> {
  const rowClass = fc.record({
    weight: between(0.1, 10),
    overheadSeconds: between(0, 1e-3),
    handOverSeconds: between(0, 2e-4),
  });
  return fc
    .record({
      kinds: fc.array(sketch, { minLength: 1, maxLength: 4 }),
      picks: fc.array(fc.tuple(fc.nat(3), chance(0.5), sketch), {
        minLength: units[0],
        maxLength: units[1],
        size: 'max',
      }),
      classes: fc.array(rowClass, { minLength: classes[0], maxLength: classes[1] }),
      drives: fc.array(drive, { minLength: 1, maxLength: 3 }),
      files: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }),
      deviceShare: fc.record({ share: between(0, 0.7), rooms: between(0, 2.2) }),
      hostShare: fc.record({ share: between(0, 0.7), rooms: between(0, 2.5) }),
      linkRates: fc.array(between(1e9, 6e10), { minLength: 1, maxLength: 4 }),
      copySeconds: between(0, 2e-5),
      overlapsKernels: chance(0.7),
      sharesPages: chance(0.7),
      cpuAlone: between(1e10, 1.5e11),
      cpuLeft: between(0.3, 1.1),
      linkLeft: between(0.3, 1.1),
      memoryShare: between(0.5, 1.2),
      rings: fc.record({ slots: fc.integer({ min: 1, max: 2 }), staging: fc.integer({ min: 1, max: 2 }) }),
    })
    .map((draw): PlanRequest => {
      // Some units are equal, as layers of a model are.
      const sketches = draw.picks.map(([kind, equal, own]) => (equal ? draw.kinds[kind % draw.kinds.length] : own));
      const rowClasses = draw.classes.map((rowClass, index) => ({ ...rowClass, maxRows: 4 ** (index + 1) }));
      const laidOut = layOut(sketches, draw.files.length, rowClasses);
      const linkRate = draw.linkRates[draw.linkRates.length - 1];
      const curve = draw.linkRates.map((bytesPerSecond, index) => ({
        pieceBytes: 2 ** (20 + 2 * index),
        bytesPerSecond,
      }));
      return {
        units: laidOut.units,
        classes: rowClasses,
        files: laidOut.fileBytes.map((bytes, index) => ({ bytes, drive: draw.files[index] % draw.drives.length })),
        drives: draw.drives,
        device: hostIsDevice ? null : budget(sketches, draw.deviceShare, 'the KV cache'),
        host: budget(sketches, draw.hostShare, 'the embedding'),
        link: hostIsDevice
          ? null
          : {
              curve,
              copySeconds: draw.copySeconds,
              overlapsKernels: draw.overlapsKernels,
              sharesPages: draw.sharesPages,
            },
        hostMemory: {
          total: (draw.cpuAlone + linkRate) * draw.memoryShare,
          cpuBesideLink: draw.cpuAlone * draw.cpuLeft,
          linkBesideCpu: linkRate * draw.linkLeft,
        },
        context: 1024,
        rings: draw.rings,
      };
    });
}
