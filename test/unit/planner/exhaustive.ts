// The steady-state cost of a placement, written a second time and plainly, and the best placement by trying all of them.
import type { PlanRequest, TensorRange } from '../../../src/placement/request.js';
import { freeBytes } from '../../../src/placement/wire.js';

type Mode = 'device' | 'link' | 'cpu' | 'disk';

/** What one way of running a unit in one class adds to each resource. */
interface Rows {
  readonly chain: number;
  readonly queue: number;
  readonly memory: number;
  readonly drives: readonly number[];
}

function copySeconds({ link }: PlanRequest, bytes: number): number {
  if (!link || bytes === 0) return 0;
  const { curve } = link;
  const above = curve.findIndex(({ pieceBytes }) => pieceBytes >= bytes);
  const last = curve[curve.length - 1];
  let rate = last.bytesPerSecond;
  if (above === 0) rate = curve[0].bytesPerSecond;
  else if (above > 0) {
    const [low, high] = [curve[above - 1], curve[above]];
    const share = (bytes - low.pieceBytes) / (high.pieceBytes - low.pieceBytes);
    rate = low.bytesPerSecond * (1 - share) + high.bytesPerSecond * share;
  }
  return link.copySeconds + bytes / rate;
}

function readSeconds(request: PlanRequest, ranges: readonly TensorRange[], drive: number): number {
  const { bytesPerSecond, requestSeconds, latencySeconds, queueDepth, maxBytes } = request.drives[drive];
  const here = ranges.filter(({ file }) => request.files[file].drive === drive);
  const bytes = here.reduce((sum, range) => sum + range.bytes, 0);
  const count = here.reduce((sum, range) => sum + Math.ceil(range.bytes / maxBytes), 0);
  return Math.max(bytes / bytesPerSecond + count * requestSeconds, (count * latencySeconds) / queueDepth);
}

function stagingBytes(request: PlanRequest, ranges: readonly TensorRange[]): number {
  const alignment = Math.max(...request.drives.map((drive) => drive.alignment));
  return ranges.reduce((sum, { file, bytes }) => {
    const drive = request.drives[request.files[file].drive];
    const gap = Math.floor(Math.min(drive.requestSeconds * drive.bytesPerSecond, 65536) / alignment) * alignment;
    return sum + (Math.ceil(bytes / alignment) + 1) * alignment + gap;
  }, 0);
}

function rowsOf(request: PlanRequest, unit: number, index: number, mode: Mode, quiet: boolean): Rows {
  const { bytes, ranges, work } = request.units[unit];
  const { deviceSeconds, cpuSeconds, deviceSecondsBesideCpu } = work[index];
  const { link, hostMemory } = request;
  const { total, cpuBesideLink, linkBesideCpu } = hostMemory;
  const shared = link && !link.overlapsKernels;
  const traffic = bytes / total;
  const drives = request.drives.map(() => 0);
  if (mode === 'cpu') {
    const linkRate = link?.curve[link.curve.length - 1].bytesPerSecond ?? 0;
    const computing = Math.max(cpuSeconds ?? 0, quiet ? 0 : bytes / cpuBesideLink);
    const stolen = quiet ? 0 : (bytes / cpuBesideLink) * Math.max(0, 1 - linkBesideCpu / linkRate);
    const chain = request.classes[index].handOverSeconds + computing + deviceSecondsBesideCpu;
    return { chain, queue: stolen + (shared ? deviceSecondsBesideCpu : 0), memory: traffic, drives };
  }
  const kernels = shared ? deviceSeconds : 0;
  if (mode === 'device') return { chain: deviceSeconds, queue: kernels, memory: link ? 0 : traffic, drives };
  if (mode === 'link') {
    return { chain: deviceSeconds, queue: copySeconds(request, bytes) + kernels, memory: traffic, drives };
  }
  const copies = ranges.reduce((sum, range) => sum + copySeconds(request, range.bytes), 0);
  const reading = request.drives.map((_, drive) => readSeconds(request, ranges, drive));
  return { chain: deviceSeconds, queue: link ? copies + kernels : 0, memory: 2 * traffic, drives: reading };
}

/** For each class what it does with a unit of this placement; the placements are all that a unit can have. */
function placementsOf(request: PlanRequest): Mode[][] {
  const all = (mode: Mode) => request.classes.map(() => mode);
  if (!request.device) return [all('device'), all('disk')];
  const mixes = Array.from({ length: 2 ** request.classes.length }, (_, mask) =>
    request.classes.map((_, index): Mode => ((mask >> index) & 1 ? 'cpu' : 'link')),
  );
  // Where the device cannot copy what the CPU computes with, it is one or the other in all classes.
  const possible = mixes.filter((modes) => request.link?.sharesPages || new Set(modes).size === 1);
  return [all('device'), all('disk'), ...possible];
}

/** The least weighted seconds over all placements with the request's rings; Infinity: none fits. */
export function exhaustiveBest(request: PlanRequest): number {
  let best = Number.POSITIVE_INFINITY;
  for (let quiet = 0; quiet < 2 ** request.classes.length; quiet++)
    best = Math.min(best, bestWith(request, quiet, best));
  return best;
}

interface Walk {
  readonly device: number;
  readonly host: number;
  readonly slot: number;
  readonly stage: number;
  /** For each class its rows: chain, queue, memory, drives. */
  readonly sums: readonly (readonly number[])[];
}

/** `quiet`: classes (a mask) that copy nothing, where the CPU is alone with the memory. */
function bestWith(request: PlanRequest, quiet: number, known: number): number {
  const { units, classes, device, host, rings } = request;
  const isQuiet = (index: number) => ((quiet >> index) & 1) === 1;
  const free = { device: device ? freeBytes(device) : 0, host: freeBytes(host) };
  const placements = placementsOf(request).filter((modes) =>
    modes.every((mode, index) => !(isQuiet(index) && (mode === 'link' || mode === 'disk'))),
  );
  const costs = units.map(({ bytes, ranges, work }, unit) =>
    placements
      .filter((modes) => modes.every((mode, index) => mode !== 'cpu' || work[index].cpuSeconds !== null))
      .map((modes) => ({
        device: modes[0] === 'device' && device ? bytes : 0,
        host: modes[0] === 'disk' || (modes[0] === 'device' && device) ? 0 : bytes,
        slot: device && modes.some((mode) => mode === 'link' || mode === 'disk') ? bytes : 0,
        stage: modes[0] === 'disk' ? stagingBytes(request, ranges) : 0,
        rows: modes.map((mode, index) => {
          const { chain, queue, memory, drives } = rowsOf(request, unit, index, mode, isQuiet(index));
          return [chain, queue, memory, ...drives];
        }),
      })),
  );
  let best = known;
  const follow = (unit: number, walk: Walk): void => {
    if (walk.device + (rings?.slots ?? 0) * walk.slot > free.device && device) return;
    if (walk.host + (rings?.staging ?? 0) * walk.stage > free.host) return;
    const seconds = walk.sums.reduce((sum, rows, index) => sum + classes[index].weight * Math.max(...rows), 0);
    // Rows only grow, so nothing below is better.
    if (seconds >= best) return;
    if (unit === units.length) {
      best = seconds;
      return;
    }
    for (const cost of costs[unit]) {
      follow(unit + 1, {
        device: walk.device + cost.device,
        host: walk.host + cost.host,
        slot: Math.max(walk.slot, cost.slot),
        stage: Math.max(walk.stage, cost.stage),
        sums: walk.sums.map((rows, index) => rows.map((value, row) => value + cost.rows[index][row])),
      });
    }
  };
  const start = classes.map(({ overheadSeconds }) => [overheadSeconds, 0, 0, ...request.drives.map(() => 0)]);
  follow(0, { device: 0, host: 0, slot: 0, stage: 0, sums: start });
  return best;
}
