// What a unit costs in each way of running it, and from that the steady-state period of a pass: resources work side by
// side, so the period is the largest of their sums, once the rings are deep enough (simulate.ts says whether they are).
import { Request } from './request';

/** How passes of one class run a unit. */
export const ON_DEVICE: i32 = 0;
/** Copied out of pinned RAM. */
export const LINKED: i32 = 1;
/** Computed by the CPU out of pinned RAM. */
export const ON_CPU: i32 = 2;
/** Read from its file, then copied. */
export const FROM_DISK: i32 = 3;
export const MODES: i32 = 4;

/** What is summed up over the units of a pass; the drives follow. */
export const CHAIN: i32 = 0;
/** The link, or the device's queue where copies and kernels share it. */
export const LINK: i32 = 1;
export const MEMORY: i32 = 2;
export const DRIVES: i32 = 3;

/** A unit's placement: where its bytes live, and for a unit in RAM a mask of the classes in which the CPU computes it. */
export const RESIDENT: i32 = 0;
export const DISK: i32 = 1;
export const HOST: i32 = 2;

export function modeOf(code: i32, class_: i32): i32 {
  if (code === RESIDENT) return ON_DEVICE;
  if (code === DISK) return FROM_DISK;
  return (((code - HOST) >> class_) & 1) !== 0 ? ON_CPU : LINKED;
}

/** Seconds of one copy of so many bytes: rates between measured sizes by interpolation, beyond the ends as they are there. */
export function copySeconds(request: Request, bytes: f64): f64 {
  const sizes = request.pieceBytes;
  const rates = request.pieceRate;
  const last = request.points - 1;
  if (last < 0 || bytes === 0) return 0;
  let rate = rates[last];
  if (bytes <= sizes[0]) rate = rates[0];
  else if (bytes < sizes[last]) {
    let i = 1;
    while (sizes[i] < bytes) i++;
    const share = (bytes - sizes[i - 1]) / (sizes[i] - sizes[i - 1]);
    rate = rates[i - 1] + share * (rates[i] - rates[i - 1]);
  }
  return request.copySeconds + bytes / rate;
}

/** Copies out of staging go tensor by tensor: the file's gaps between them are not the slot's. */
export function stagedCopySeconds(request: Request, unit: i32): f64 {
  let seconds: f64 = 0;
  for (let range = request.firstRange[unit]; range < request.firstRange[unit + 1]; range++) {
    seconds += copySeconds(request, request.rangeBytes[range]);
  }
  return seconds;
}

/** Gaps take room in staging, and a drive that was busy while it was measured seems to ask much for a request. */
const MOST_GAP_BYTES: f64 = 65536;

/** Bytes of a gap that are as quick to read as one request more is to make. */
export function gapBytes(request: Request, drive: i32): f64 {
  return Math.min(request.driveRequest[drive] * request.driveRate[drive], MOST_GAP_BYTES);
}

/** Seconds that a drive is busy with reads of so many bytes in so many requests, at its queue depth. */
export function readSeconds(request: Request, drive: i32, bytes: f64, requests: f64): f64 {
  const flow = bytes / request.driveRate[drive] + requests * request.driveRequest[drive];
  return Math.max(flow, (requests * request.driveLatency[drive]) / request.driveDepth[drive]);
}

/** Seconds that drive `drive` reads a unit, counted tensor by tensor: merging and alignment change little. */
export function unitReadSeconds(request: Request, unit: i32, drive: i32): f64 {
  let bytes: f64 = 0;
  let requests: f64 = 0;
  for (let range = request.firstRange[unit]; range < request.firstRange[unit + 1]; range++) {
    if (request.fileDrive[request.rangeFile[range]] !== drive) continue;
    bytes += request.rangeBytes[range];
    requests += Math.ceil(request.rangeBytes[range] / request.driveMax[drive]);
  }
  return readSeconds(request, drive, bytes, requests);
}

/** What the begins of runs in staging are multiples of: one buffer takes bytes of all drives. */
export function largestAlignment(request: Request): f64 {
  let largest: f64 = 1;
  for (let drive = 0; drive < request.drives; drive++) largest = Math.max(largest, request.driveAlignment[drive]);
  return largest;
}

/**
 * Staging that a unit takes at most: each tensor's bytes, what alignment adds at both ends, and the gap that may be read
 * with it. Equal for layers of equal tensors wherever they lie in the file, which extents.ts's exact bytes are not.
 */
export function stagingBound(request: Request, unit: i32): f64 {
  const alignment = largestAlignment(request);
  let bytes: f64 = 0;
  for (let range = request.firstRange[unit]; range < request.firstRange[unit + 1]; range++) {
    const gap = gapBytes(request, request.fileDrive[request.rangeFile[range]]);
    bytes +=
      (Math.ceil(request.rangeBytes[range] / alignment) + 1) * alignment + Math.floor(gap / alignment) * alignment;
  }
  return bytes;
}

/** Seconds of the CPU's work on so many bytes while copies run, of what it takes alone: it computes as fast as bytes come. */
export function besideLinkSeconds(request: Request, alone: f64, bytes: f64): f64 {
  return Math.max(alone, bytes / request.cpuBesideLink);
}

/** Seconds of the link that a byte of the CPU's work takes away. */
export function stolenSeconds(request: Request): f64 {
  const fastest = request.points > 0 ? request.pieceRate[request.points - 1] : request.linkBesideCpu;
  return Math.max(0, 1 - request.linkBesideCpu / fastest) / request.cpuBesideLink;
}

/**
 * The table of costs: for each unit, class and mode the seconds of each row. `quiet` is a mask of classes that copy nothing:
 * there the CPU has the memory to itself; in other classes the link is taken to be at work whenever the CPU is.
 */
export class Costs {
  readonly rows: i32;
  /** [unit][class][mode][row] */
  seconds: StaticArray<f64> = [];
  bytes: StaticArray<f64> = [];
  staging: StaticArray<f64> = [];
  readonly hasDevice: bool;
  readonly classes: i32;
  readonly units: i32;

  constructor(
    readonly request: Request,
    readonly quiet: i32,
  ) {
    this.rows = DRIVES + request.drives;
    this.hasDevice = request.hasDevice;
    this.classes = request.classes;
    this.units = request.units;
    this.bytes = request.unitBytes.slice<StaticArray<f64>>();
    this.staging = new StaticArray<f64>(request.units);
    this.seconds = new StaticArray<f64>(request.units * request.classes * MODES * this.rows);
    const stolen = stolenSeconds(request);
    for (let unit = 0; unit < request.units; unit++) {
      this.staging[unit] = stagingBound(request, unit);
      for (let class_ = 0; class_ < request.classes; class_++) this.fill(unit, class_, stolen);
    }
  }

  /** How many of `seconds` are one unit's. */
  get unitSize(): i32 {
    return this.classes * MODES * this.rows;
  }

  at(unit: i32, class_: i32, mode: i32): i32 {
    return ((unit * this.classes + class_) * MODES + mode) * this.rows;
  }

  canCompute(unit: i32, class_: i32): bool {
    return this.hasDevice && this.request.cpu[unit * this.classes + class_] >= 0;
  }

  private fill(unit: i32, class_: i32, stolenSeconds: f64): void {
    const request = this.request;
    const index = unit * this.classes + class_;
    const bytes = this.bytes[unit];
    const device = request.device[index];
    const memory = bytes / request.memoryTotal;
    const shared = request.overlaps ? 0.0 : 1.0;
    const alone = ((this.quiet >> class_) & 1) !== 0;

    this.put(unit, class_, ON_DEVICE, device, device * shared, this.hasDevice ? 0 : memory);
    this.put(unit, class_, LINKED, device, copySeconds(request, bytes) + device * shared, memory);
    const quick = Math.max(0, request.cpu[index]);
    const cpu = alone ? quick : besideLinkSeconds(request, quick, bytes);
    const beside = request.beside[index];
    const stolen = alone ? 0 : bytes * stolenSeconds;
    this.put(unit, class_, ON_CPU, request.handOver[class_] + cpu + beside, stolen + beside * shared, memory);
    // DMA writes the staging buffer, the copy (or the kernel) reads it.
    this.put(unit, class_, FROM_DISK, device, stagedCopySeconds(request, unit) + device * shared, 2 * memory);
    const at = this.at(unit, class_, FROM_DISK);
    for (let drive = 0; drive < request.drives; drive++) {
      this.seconds[at + DRIVES + drive] = unitReadSeconds(request, unit, drive);
    }
  }

  private put(unit: i32, class_: i32, mode: i32, chain: f64, link: f64, memory: f64): void {
    const at = this.at(unit, class_, mode);
    this.seconds[at + CHAIN] = chain;
    this.seconds[at + LINK] = this.hasDevice ? link : 0;
    this.seconds[at + MEMORY] = memory;
  }
}
