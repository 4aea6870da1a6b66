// Requests and answers as words: 8-byte floats, one after another. planner/wire.ts and planner/answer.ts are the other end;
// every part begins with its tag, so that two ends that disagree notice.
import { NtxError } from '../errors.js';
import type { TimelineEvent } from './answer.js';
import type { Extent, Plan, Resource, Schedule, Tier, Transfer } from './plan.js';
import type { Budget, PlanRequest } from './request.js';

const VERSION = 4;
const TAG = {
  request: 0x6e7478,
  link: 101,
  classes: 102,
  drives: 103,
  files: 104,
  units: 105,
  given: 106,
  requestEnd: 107,
  answer: 0x616e7377,
  tiers: 201,
  rings: 202,
  reads: 203,
  schedule: 204,
  timeline: 205,
  answerEnd: 206,
};

/** Which placements the planner may choose from, in the order of planner/request.ts. */
export const KINDS = ['free', 'stream-all', 'compute-all', 'first-layers-resident'] as const;
export type PlacementKind = (typeof KINDS)[number];
const STATUSES = ['planned', 'malformed', 'no-room', 'stuck'] as const;
const TIERS: readonly Tier[] = ['device', 'host-copy', 'host-compute', 'disk'];
const RESOURCES: readonly Resource[] = ['compute', 'link', 'disk', 'cpu', 'host-memory'];

/** More than any machine has: a description may say so. The planner adds up whole numbers. */
const MOST_BYTES = 2 ** 52;

/** Bytes that residents leave of a budget; may be below 0. */
export function freeBytes({ bytes, residents }: Budget): number {
  return residents.reduce((left, resident) => left - resident.bytes, bytes);
}

/** Where a plan has its units, in the planner's words (planner/cost.ts). */
export function codesOf({ tiers, schedules }: Pick<Plan, 'tiers' | 'schedules'>): number[] {
  const onCpu = schedules.map((schedule) => new Set(schedule.onCpu));
  return tiers.map((tier, unit) => {
    if (tier === 'device') return 0;
    if (tier === 'disk') return 1;
    return onCpu.reduce((code, units, class_) => code + (units.has(unit) ? 2 ** class_ : 0), 2);
  });
}

/**
 * The request's words.
 * @param given codesOf() a plan whose passes are simulated as they are; empty: units are placed
 */
export function encodeRequest(
  request: PlanRequest,
  kind: PlacementKind = 'free',
  given: readonly number[] = [],
): Float64Array<ArrayBuffer> {
  const { device, host, link, hostMemory, classes, drives, files, units, rings } = request;
  const free = (budget: Budget | null) =>
    budget ? Math.min(MOST_BYTES, Math.max(0, Math.floor(freeBytes(budget)))) : 0;
  const words = [TAG.request, VERSION, KINDS.indexOf(kind)];
  words.push(Number(device !== null), Number(link?.overlapsKernels ?? false), Number(link?.sharesPages ?? false));
  words.push(rings?.slots ?? 0, rings?.staging ?? 0);
  words.push(free(device), free(host));
  words.push(hostMemory.total, hostMemory.cpuBesideLink, hostMemory.linkBesideCpu);
  const curve = link?.curve ?? [];
  words.push(TAG.link, link?.copySeconds ?? 0, curve.length);
  for (const { pieceBytes, bytesPerSecond } of curve) words.push(pieceBytes, bytesPerSecond);
  words.push(TAG.classes, classes.length);
  for (const { weight, overheadSeconds, handOverSeconds } of classes)
    words.push(weight, overheadSeconds, handOverSeconds);
  words.push(TAG.drives, drives.length);
  for (const drive of drives) {
    words.push(drive.bytesPerSecond, drive.requestSeconds, drive.latencySeconds);
    words.push(drive.queueDepth, drive.alignment, drive.maxBytes);
  }
  words.push(TAG.files, files.length);
  for (const { bytes, drive } of files) words.push(bytes, drive);
  words.push(
    TAG.units,
    units.length,
    units.reduce((sum, { ranges }) => sum + ranges.length, 0),
  );
  for (const { bytes, ranges, work } of units) {
    words.push(bytes, ranges.length);
    for (const range of ranges) words.push(range.file, range.offset, range.bytes);
    for (const { deviceSeconds, cpuSeconds, deviceSecondsBesideCpu } of work) {
      words.push(deviceSeconds, cpuSeconds ?? -1, deviceSecondsBesideCpu);
    }
  }
  words.push(TAG.given, given.length);
  for (const code of given) words.push(code);
  words.push(TAG.requestEnd);
  return Float64Array.from(words);
}

export interface PlannedWords {
  readonly status: 'planned';
  readonly seconds: number;
  readonly steadyState: number;
  readonly lowerBound: number;
  readonly tiers: readonly Tier[];
  readonly slots: readonly number[];
  readonly staging: readonly number[];
  readonly schedules: readonly Schedule[];
  readonly timelines: readonly (readonly TimelineEvent[])[];
}

export type AnswerWords =
  | PlannedWords
  | { readonly status: 'malformed'; readonly word: number }
  | { readonly status: 'no-room' }
  | { readonly status: 'stuck' };

/** The answer to `request`. Throws NtxError('internal') where the words are not one. */
export function decodeAnswer(words: Float64Array, request: PlanRequest): AnswerWords {
  const reader = new WordReader(words);
  reader.tag(TAG.answer);
  reader.tag(VERSION);
  const status = reader.oneOf(STATUSES);
  if (status === 'malformed') return { status, word: reader.next() };
  if (status === 'no-room' || status === 'stuck') return { status };
  const seconds = reader.next();
  const steadyState = reader.next();
  const lowerBound = reader.next();
  reader.tag(TAG.tiers);
  const tiers = request.units.map(() => reader.oneOf(TIERS));
  reader.tag(TAG.rings);
  const slots = reader.list(() => reader.next());
  const staging = reader.list(() => reader.next());
  reader.tag(TAG.reads);
  const reads = tiers.map((tier) => (tier === 'disk' ? reader.list(() => readExtent(reader)) : []));
  const timelines: TimelineEvent[][] = [];
  const schedules = request.classes.map(({ maxRows }) => {
    const schedule = readSchedule(reader, maxRows, reads);
    reader.tag(TAG.timeline);
    timelines.push(reader.list(() => readEvent(reader)));
    return schedule;
  });
  reader.tag(TAG.answerEnd);
  return { status, seconds, steadyState, lowerBound, tiers, slots, staging, schedules, timelines };
}

function readExtent(reader: WordReader): Extent {
  return { file: reader.next(), offset: reader.next(), bytes: reader.next(), at: reader.next() };
}

function readSchedule(reader: WordReader, maxRows: number, reads: readonly (readonly Extent[])[]): Schedule {
  reader.tag(TAG.schedule);
  const index = () => {
    const value = reader.next();
    return value < 0 ? null : value;
  };
  const transfers = reader.list((): Transfer => {
    const unit = reader.next();
    return { unit, slot: index(), staging: index(), extents: reads[unit] };
  });
  const onCpu = reader.list(() => reader.next());
  const seconds = reader.next();
  const bound = reader.oneOf(RESOURCES);
  const busy = Object.fromEntries(RESOURCES.map((name) => [name, reader.next()])) as Record<Resource, number>;
  return { maxRows, transfers, onCpu, prediction: { seconds, bound, busy } };
}

function readEvent(reader: WordReader): TimelineEvent {
  const resource = reader.oneOf(RESOURCES) as TimelineEvent['resource'];
  const lane = reader.next();
  const unit = reader.next();
  return { resource, lane, unit: unit < 0 ? null : unit, begin: reader.next(), end: reader.next() };
}

class WordReader {
  private at = 0;

  constructor(private readonly words: Float64Array) {}

  next(): number {
    if (this.at >= this.words.length) throw this.broken('more words');
    return this.words[this.at++];
  }

  tag(expected: number): void {
    const found = this.next();
    if (found !== expected) throw this.broken(`${expected} at word ${this.at - 1}, got ${found}`);
  }

  oneOf<T>(names: readonly T[]): T {
    const name = names[this.next()];
    if (name === undefined) throw this.broken(`a number below ${names.length} at word ${this.at - 1}`);
    return name;
  }

  list<T>(read: () => T): T[] {
    const count = this.next();
    if (!(count >= 0 && count <= this.words.length)) throw this.broken(`a count at word ${this.at - 1}, got ${count}`);
    return Array.from({ length: count }, read);
  }

  private broken(expected: string): NtxError {
    return new NtxError('internal', `the planner's answer: expected ${expected}`, 'build ntx again: npm run build');
  }
}
