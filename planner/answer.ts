// An answer as words; src/placement/wire.ts reads it.
import { DISK, HOST, modeOf, ON_CPU } from './cost';
import { binding } from './plan';
import { Planned } from './planned';
import { Request } from './request';
import { RESOURCES, Simulation } from './simulate';
import { Writer } from './wire';

const VERSION: f64 = 4;
/** How a request ended. */
const PLANNED: f64 = 0;
const MALFORMED: f64 = 1;
const NO_ROOM: f64 = 2;
const STUCK: f64 = 3;

const TAG_ANSWER: f64 = 0x616e7377;
const TAG_TIERS: f64 = 201;
const TAG_RINGS: f64 = 202;
const TAG_READS: f64 = 203;
const TAG_SCHEDULE: f64 = 204;
const TAG_TIMELINE: f64 = 205;
const TAG_END: f64 = 206;

/** Tiers in the order of plan.ts. */
const TIER_DEVICE: f64 = 0;
const TIER_HOST_COPY: f64 = 1;
const TIER_HOST_COMPUTE: f64 = 2;
const TIER_DISK: f64 = 3;

/** [tag, version, status, word of the request that was refused] */
export function encodeMalformed(word: i32): Writer {
  const writer = begin(MALFORMED);
  writer.put(<f64>word);
  return writer;
}

export function encodeNoRoom(): Writer {
  return begin(NO_ROOM);
}

function begin(status: f64): Writer {
  const writer = new Writer();
  writer.put(TAG_ANSWER);
  writer.put(VERSION);
  writer.put(status);
  return writer;
}

export function encodePlanned(request: Request, planned: Planned, bound: f64): Writer {
  if (!(planned.seconds < Infinity)) return begin(STUCK);
  const writer = begin(PLANNED);
  const schedule = planned.schedule;
  writer.put(planned.seconds);
  writer.put(planned.steadyState);
  writer.put(bound);
  writer.put(TAG_TIERS);
  for (let unit = 0; unit < request.units; unit++) writer.put(tierOf(schedule.codes[unit]));
  writer.put(TAG_RINGS);
  putList(writer, schedule.slots);
  putList(writer, schedule.staging);
  writer.put(TAG_READS);
  for (let unit = 0; unit < request.units; unit++) {
    if (schedule.codes[unit] !== DISK) continue;
    const reads = schedule.reads[unit]!;
    writer.put(<f64>reads.file.length);
    for (let i = 0; i < reads.file.length; i++) {
      writer.put(<f64>reads.file[i]);
      writer.put(reads.offset[i]);
      writer.put(reads.bytes[i]);
      writer.put(reads.at[i]);
    }
  }
  for (let class_ = 0; class_ < request.classes; class_++) {
    const pass = planned.pass(class_);
    putSchedule(writer, request, planned, pass, class_);
    putTimeline(writer, pass);
  }
  writer.put(TAG_END);
  return writer;
}

function tierOf(code: i32): f64 {
  if (code < HOST) return code === DISK ? TIER_DISK : TIER_DEVICE;
  return code === HOST ? TIER_HOST_COPY : TIER_HOST_COMPUTE;
}

function putList(writer: Writer, values: f64[]): void {
  writer.put(<f64>values.length);
  for (let i = 0; i < values.length; i++) writer.put(values[i]);
}

function putSchedule(writer: Writer, request: Request, planned: Planned, pass: Simulation, class_: i32): void {
  const transfers = planned.schedule.classes[class_];
  writer.put(TAG_SCHEDULE);
  writer.put(<f64>transfers.unit.length);
  for (let i = 0; i < transfers.unit.length; i++) {
    writer.put(<f64>transfers.unit[i]);
    writer.put(<f64>transfers.slot[i]);
    writer.put(<f64>transfers.staging[i]);
  }
  const onCpu: f64[] = [];
  for (let unit = 0; unit < request.units; unit++) {
    if (modeOf(planned.schedule.codes[unit], class_) === ON_CPU) onCpu.push(<f64>unit);
  }
  putList(writer, onCpu);
  writer.put(pass.seconds);
  writer.put(<f64>binding(request, pass));
  for (let i = 0; i < RESOURCES; i++) writer.put(pass.busy[i]);
}

function putTimeline(writer: Writer, pass: Simulation): void {
  writer.put(TAG_TIMELINE);
  writer.put(<f64>pass.events.length);
  for (let i = 0; i < pass.events.length; i++) {
    const event = pass.events[i];
    writer.put(<f64>event.resource);
    writer.put(<f64>event.lane);
    writer.put(<f64>event.unit);
    writer.put(event.begin);
    writer.put(event.end);
  }
}
