// Requests and answers as words: 8-byte floats, little endian, one after another. src/placement/wire.ts is the other end.
// Every part begins with its tag, so that two ends that disagree notice. Nothing here trusts the words.
import { HOST } from './cost';
import {
  KINDS,
  MAX_CLASSES,
  MAX_DRIVES,
  MAX_FILES,
  MAX_POINTS,
  MAX_RANGES,
  MAX_READS,
  MAX_RING,
  MAX_UNITS,
  Request,
} from './request';

const VERSION: f64 = 4;
const TAG_REQUEST: f64 = 0x6e7478;
const TAG_LINK: f64 = 101;
const TAG_CLASSES: f64 = 102;
const TAG_DRIVES: f64 = 103;
const TAG_FILES: f64 = 104;
const TAG_UNITS: f64 = 105;
const TAG_GIVEN: f64 = 106;
const TAG_END: f64 = 107;

/** Whole numbers below it are exact in a word. */
const EXACT: f64 = 9007199254740992;
/** No bandwidth, weight or time of a machine lies outside; the sums of these stay finite. */
const SMALLEST: f64 = 1e-12;
const LARGEST: f64 = 1e18;

/** Reads words; after the first that is missing or out of bounds all reads answer the least value that is allowed. */
export class Reader {
  at: i32 = 0;
  /** The word that was refused, -1: none. */
  refused: i32 = -1;

  constructor(
    private pointer: usize,
    private words: i32,
  ) {}

  refuse(): void {
    if (this.refused < 0) this.refused = this.at - 1;
  }

  any(): f64 {
    if (this.refused >= 0) return 0;
    if (this.at >= this.words) {
      this.at++;
      this.refuse();
      return 0;
    }
    const value = load<f64>(this.pointer + ((<usize>this.at) << 3));
    this.at++;
    return value;
  }

  /** A finite number from `low` to `high`. */
  number(low: f64, high: f64): f64 {
    const value = this.any();
    if (value >= low && value <= high) return value;
    this.refuse();
    return low;
  }

  whole(low: f64, high: f64): f64 {
    const value = this.number(low, high);
    if (Math.floor(value) === value) return value;
    this.refuse();
    return low;
  }

  integer(low: i32, high: i32): i32 {
    return <i32>this.whole(<f64>low, <f64>high);
  }

  /** How many records follow, each of at least `least` words. */
  count(low: i32, high: i32, least: i32): i32 {
    const value = this.integer(low, high);
    if (this.refused >= 0) return 0;
    if (<i64>value * <i64>least <= <i64>(this.words - this.at)) return value;
    this.refuse();
    return 0;
  }

  bytes(): f64 {
    return this.whole(0, EXACT);
  }

  rate(): f64 {
    return this.number(SMALLEST, LARGEST);
  }

  seconds(): f64 {
    return this.number(0, LARGEST);
  }

  tag(expected: f64): void {
    this.number(expected, expected);
  }
}

/** Writes words into memory that grows as it needs. */
export class Writer {
  words: Array<f64> = [];

  put(value: f64): void {
    this.words.push(value);
  }

  /** Words of what was written; they stay until the module is dropped. */
  get pointer(): usize {
    return this.words.dataStart;
  }
}

/** The request, or what could be read of it when `reader.refused` says which word was not as it must be. */
export function decodeRequest(reader: Reader): Request {
  const request = new Request();
  reader.tag(TAG_REQUEST);
  reader.tag(VERSION);
  request.kind = reader.integer(0, KINDS - 1);
  request.hasDevice = reader.integer(0, 1) === 1;
  request.overlaps = reader.integer(0, 1) === 1;
  request.sharesPages = reader.integer(0, 1) === 1;
  request.fixedSlots = reader.integer(0, MAX_RING);
  request.fixedStaging = reader.integer(0, MAX_RING);
  request.deviceBytes = reader.bytes();
  request.hostBytes = reader.bytes();
  request.memoryTotal = reader.rate();
  request.cpuBesideLink = reader.rate();
  request.linkBesideCpu = reader.rate();
  decodeLink(reader, request);
  decodeClasses(reader, request);
  decodeDrives(reader, request);
  decodeFiles(reader, request);
  decodeUnits(reader, request);
  decodeGiven(reader, request);
  reader.tag(TAG_END);
  return request;
}

function decodeLink(reader: Reader, request: Request): void {
  reader.tag(TAG_LINK);
  request.copySeconds = reader.seconds();
  const count = reader.count(request.hasDevice ? 1 : 0, MAX_POINTS, 2);
  request.points = count;
  request.pieceBytes = new StaticArray<f64>(count);
  request.pieceRate = new StaticArray<f64>(count);
  let above: f64 = 0;
  for (let i = 0; i < count; i++) {
    request.pieceBytes[i] = reader.whole(above + 1, EXACT);
    request.pieceRate[i] = reader.rate();
    above = request.pieceBytes[i];
  }
}

function decodeClasses(reader: Reader, request: Request): void {
  reader.tag(TAG_CLASSES);
  const count = reader.count(1, MAX_CLASSES, 3);
  request.classes = count;
  request.weight = new StaticArray<f64>(count);
  request.overhead = new StaticArray<f64>(count);
  request.handOver = new StaticArray<f64>(count);
  for (let i = 0; i < count; i++) {
    request.weight[i] = reader.rate();
    request.overhead[i] = reader.seconds();
    request.handOver[i] = reader.seconds();
  }
}

function decodeDrives(reader: Reader, request: Request): void {
  reader.tag(TAG_DRIVES);
  const count = reader.count(1, MAX_DRIVES, 6);
  request.drives = count;
  request.driveRate = new StaticArray<f64>(count);
  request.driveRequest = new StaticArray<f64>(count);
  request.driveLatency = new StaticArray<f64>(count);
  request.driveDepth = new StaticArray<f64>(count);
  request.driveAlignment = new StaticArray<f64>(count);
  request.driveMax = new StaticArray<f64>(count);
  for (let i = 0; i < count; i++) {
    request.driveRate[i] = reader.rate();
    request.driveRequest[i] = reader.seconds();
    request.driveLatency[i] = reader.seconds();
    request.driveDepth[i] = <f64>reader.integer(1, 65536);
    const alignment = reader.integer(1, 1 << 30);
    if ((alignment & (alignment - 1)) !== 0) reader.refuse();
    const most = reader.whole(<f64>alignment, EXACT);
    if (<i64>most % <i64>alignment !== 0) reader.refuse();
    request.driveAlignment[i] = <f64>alignment;
    request.driveMax[i] = most;
  }
}

function decodeFiles(reader: Reader, request: Request): void {
  reader.tag(TAG_FILES);
  const count = reader.count(1, MAX_FILES, 2);
  request.files = count;
  request.fileBytes = new StaticArray<f64>(count);
  request.fileDrive = new StaticArray<i32>(count);
  for (let i = 0; i < count; i++) {
    request.fileBytes[i] = reader.bytes();
    request.fileDrive[i] = reader.integer(0, request.drives - 1);
  }
}

function decodeUnits(reader: Reader, request: Request): void {
  reader.tag(TAG_UNITS);
  const classes = request.classes;
  const count = reader.count(1, MAX_UNITS, 2 + 3 * classes);
  const ranges = reader.count(0, MAX_RANGES, 3);
  request.units = count;
  request.ranges = ranges;
  request.unitBytes = new StaticArray<f64>(count);
  request.firstRange = new StaticArray<i32>(count + 1);
  request.rangeFile = new StaticArray<i32>(ranges);
  request.rangeOffset = new StaticArray<f64>(ranges);
  request.rangeBytes = new StaticArray<f64>(ranges);
  request.device = new StaticArray<f64>(count * classes);
  request.cpu = new StaticArray<f64>(count * classes);
  request.beside = new StaticArray<f64>(count * classes);
  let next = 0;
  for (let unit = 0; unit < count && reader.refused < 0; unit++) {
    request.unitBytes[unit] = reader.bytes();
    const end = next + reader.integer(0, ranges - next);
    for (; next < end; next++) decodeRange(reader, request, next);
    request.firstRange[unit + 1] = next;
    for (let at = unit * classes; at < (unit + 1) * classes; at++) {
      request.device[at] = reader.seconds();
      request.cpu[at] = reader.number(-1, LARGEST);
      request.beside[at] = reader.seconds();
    }
  }
  if (next !== ranges) reader.refuse();
  refuseManyReads(reader, request);
}

function decodeRange(reader: Reader, request: Request, at: i32): void {
  const file = reader.integer(0, request.files - 1);
  request.rangeFile[at] = file;
  request.rangeOffset[at] = reader.bytes();
  request.rangeBytes[at] = reader.whole(1, EXACT);
  if (reader.refused >= 0) return;
  if (request.rangeOffset[at] + request.rangeBytes[at] > request.fileBytes[file]) reader.refuse();
}

function decodeGiven(reader: Reader, request: Request): void {
  reader.tag(TAG_GIVEN);
  const count = reader.count(0, request.units, 1);
  if (count !== 0 && count !== request.units) reader.refuse();
  request.given = new StaticArray<i32>(count);
  const last = HOST + (1 << request.classes) - 1;
  for (let unit = 0; unit < count; unit++) request.given[unit] = reader.integer(0, last);
}

/** Reads that all units together come to at most: a request with absurdly small reads would never end. */
function refuseManyReads(reader: Reader, request: Request): void {
  let reads: f64 = 0;
  for (let range = 0; range < request.ranges && reader.refused < 0; range++) {
    const most = request.driveMax[request.fileDrive[request.rangeFile[range]]];
    reads += request.rangeBytes[range] / most + 2;
    if (reads > <f64>MAX_READS) reader.refuse();
  }
}

/** The words that decodeRequest read. */
export function encodeRequest(request: Request): Writer {
  const writer = new Writer();
  writer.put(TAG_REQUEST);
  writer.put(VERSION);
  writer.put(<f64>request.kind);
  writer.put(request.hasDevice ? 1 : 0);
  writer.put(request.overlaps ? 1 : 0);
  writer.put(request.sharesPages ? 1 : 0);
  writer.put(<f64>request.fixedSlots);
  writer.put(<f64>request.fixedStaging);
  writer.put(request.deviceBytes);
  writer.put(request.hostBytes);
  writer.put(request.memoryTotal);
  writer.put(request.cpuBesideLink);
  writer.put(request.linkBesideCpu);
  writer.put(TAG_LINK);
  writer.put(request.copySeconds);
  putRecords(writer, request.points, [request.pieceBytes, request.pieceRate]);
  writer.put(TAG_CLASSES);
  putRecords(writer, request.classes, [request.weight, request.overhead, request.handOver]);
  writer.put(TAG_DRIVES);
  putRecords(writer, request.drives, [
    request.driveRate,
    request.driveRequest,
    request.driveLatency,
    request.driveDepth,
    request.driveAlignment,
    request.driveMax,
  ]);
  writer.put(TAG_FILES);
  writer.put(<f64>request.files);
  for (let i = 0; i < request.files; i++) {
    writer.put(request.fileBytes[i]);
    writer.put(<f64>request.fileDrive[i]);
  }
  putUnits(writer, request);
  putGiven(writer, request);
  writer.put(TAG_END);
  return writer;
}

function putRecords(writer: Writer, count: i32, columns: StaticArray<f64>[]): void {
  writer.put(<f64>count);
  for (let i = 0; i < count; i++) {
    for (let column = 0; column < columns.length; column++) writer.put(columns[column][i]);
  }
}

function putUnits(writer: Writer, request: Request): void {
  writer.put(TAG_UNITS);
  writer.put(<f64>request.units);
  writer.put(<f64>request.ranges);
  for (let unit = 0; unit < request.units; unit++) {
    const begin = request.firstRange[unit];
    const end = request.firstRange[unit + 1];
    writer.put(request.unitBytes[unit]);
    writer.put(<f64>(end - begin));
    for (let range = begin; range < end; range++) {
      writer.put(<f64>request.rangeFile[range]);
      writer.put(request.rangeOffset[range]);
      writer.put(request.rangeBytes[range]);
    }
    for (let at = unit * request.classes; at < (unit + 1) * request.classes; at++) {
      writer.put(request.device[at]);
      writer.put(request.cpu[at]);
      writer.put(request.beside[at]);
    }
  }
}

function putGiven(writer: Writer, request: Request): void {
  writer.put(TAG_GIVEN);
  writer.put(<f64>request.given.length);
  for (let unit = 0; unit < request.given.length; unit++) writer.put(<f64>request.given[unit]);
}
