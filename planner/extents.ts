// A unit's tensor ranges to aligned reads. O_DIRECT wants offset and length in multiples of the logical block (512 or
// 4096 bytes); GGUF aligns tensors to 32 bytes only, so a read begins before its tensor and ends after it.
import { gapBytes, largestAlignment, readSeconds } from './cost';
import { Request } from './request';

/** First byte of the aligned read that covers `offset`. `alignment` is a power of two. */
export function alignedBegin(offset: u64, alignment: u64): u64 {
  return offset & ~(alignment - 1);
}

/** One past the last byte of the aligned read that covers [offset, offset + bytes). Traps nothing: wraps at 2^64. */
export function alignedEnd(offset: u64, bytes: u64, alignment: u64): u64 {
  return (offset + bytes + alignment - 1) & ~(alignment - 1);
}

/** Reads in the order of issue, and the bytes of staging that they fill. */
export class Reads {
  file: i32[] = [];
  offset: f64[] = [];
  bytes: f64[] = [];
  /** Where the bytes go in the staging buffer. */
  at: f64[] = [];
  staging: f64 = 0;

  add(file: i32, offset: f64, bytes: f64, at: f64): void {
    this.file.push(file);
    this.offset.push(offset);
    this.bytes.push(bytes);
    this.at.push(at);
  }
}

/** A stretch of a file that is read in one go: tensors, and gaps that are cheaper to read than to leave out. */
class Run {
  at: f64 = 0;

  constructor(
    readonly file: i32,
    readonly begin: f64,
    public end: f64,
    /** The first tensor of the unit that it serves. */
    public need: i32,
  ) {}
}

/** Array.sort's comparators take no context. */
let compared: Request | null = null;

function compareRanges(a: i32, b: i32): i32 {
  const request = compared!;
  if (request.rangeFile[a] !== request.rangeFile[b]) return request.rangeFile[a] - request.rangeFile[b];
  if (request.rangeOffset[a] !== request.rangeOffset[b])
    return request.rangeOffset[a] < request.rangeOffset[b] ? -1 : 1;
  return a - b;
}

function compareNeed(a: Run, b: Run): i32 {
  return a.need - b.need;
}

/** All bytes of the unit's tensors exactly once: aligned, merged, split, and taken from all drives at once. */
export function unitReads(request: Request, unit: i32): Reads {
  const runs = runsOf(request, unit);
  const reads = new Reads();
  const alignment = <u64>largestAlignment(request);
  for (let i = 0; i < runs.length; i++) {
    runs[i].at = reads.staging;
    reads.staging = <f64>alignedEnd(<u64>reads.staging, <u64>(runs[i].end - runs[i].begin), alignment);
  }
  issue(request, runs, reads);
  return reads;
}

/** In the order of need. */
function runsOf(request: Request, unit: i32): Run[] {
  const order: i32[] = [];
  for (let range = request.firstRange[unit]; range < request.firstRange[unit + 1]; range++) order.push(range);
  compared = request;
  order.sort(compareRanges);
  compared = null;
  const runs: Run[] = [];
  for (let i = 0; i < order.length; i++) {
    const range = order[i];
    const file = request.rangeFile[range];
    const drive = request.fileDrive[file];
    const alignment = <u64>request.driveAlignment[drive];
    const offset = <u64>request.rangeOffset[range];
    const begin = <f64>alignedBegin(offset, alignment);
    const end = Math.min(<f64>alignedEnd(offset, <u64>request.rangeBytes[range], alignment), request.fileBytes[file]);
    const last = runs.length > 0 ? runs[runs.length - 1] : null;
    // The end of a file ends its last run; nothing can follow there but what it covers.
    if (last && last.file === file && (begin <= last.end || begin - last.end < gapBytes(request, drive))) {
      last.end = Math.max(last.end, end);
      last.need = min(last.need, range);
    } else {
      runs.push(new Run(file, begin, end, range));
    }
  }
  runs.sort(compareNeed);
  return runs;
}

/** Splits runs at the drives' largest transfer; the next read comes from the drive that has had least to do. */
function issue(request: Request, runs: Run[], reads: Reads): void {
  const drives = request.drives;
  const busy = new StaticArray<f64>(drives);
  /** The run that each drive is at, and how far in. */
  const run = new StaticArray<i32>(drives);
  const done = new StaticArray<f64>(drives);
  for (let drive = 0; drive < drives; drive++) run[drive] = nextRun(request, runs, drive, 0);
  for (;;) {
    let drive = -1;
    for (let other = 0; other < drives; other++) {
      if (run[other] < runs.length && (drive < 0 || busy[other] < busy[drive])) drive = other;
    }
    if (drive < 0) return;
    const now = runs[run[drive]];
    const bytes = Math.min(request.driveMax[drive], now.end - now.begin - done[drive]);
    reads.add(now.file, now.begin + done[drive], bytes, now.at + done[drive]);
    busy[drive] += readSeconds(request, drive, bytes, 1);
    done[drive] += bytes;
    if (now.begin + done[drive] < now.end) continue;
    done[drive] = 0;
    run[drive] = nextRun(request, runs, drive, run[drive] + 1);
  }
}

function nextRun(request: Request, runs: Run[], drive: i32, from: i32): i32 {
  let at = from;
  while (at < runs.length && request.fileDrive[runs[at].file] !== drive) at++;
  return at;
}

/** Seconds that a drive works for these reads. */
export function driveWork(request: Request, reads: Reads, drive: i32): f64 {
  let bytes: f64 = 0;
  let requests: f64 = 0;
  for (let i = 0; i < reads.file.length; i++) {
    if (request.fileDrive[reads.file[i]] !== drive) continue;
    bytes += reads.bytes[i];
    requests++;
  }
  return requests > 0 ? readSeconds(request, drive, bytes, requests) : 0;
}
