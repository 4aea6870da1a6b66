// Plays a class's schedule event by event: one chain of units, a link that copies into the ring, drives that read into staging.
// Passes follow each other, with prefetch across their ends, until one repeats the one before. Where CPU kernels, copies and disk
// DMA meet in host memory they slow each other down; where a device has one queue, copies and kernels take turns in it.
import {
  besideLinkSeconds,
  copySeconds,
  DISK,
  LINKED,
  modeOf,
  ON_CPU,
  ON_DEVICE,
  stagedCopySeconds,
  stolenSeconds,
} from './cost';
import { driveWork } from './extents';
import { Request } from './request';
import { Schedule, Transfers } from './schedule';
import { reaches, Task } from './task';

/** Resources as the answer numbers them. */
export const COMPUTE: i32 = 0;
export const LINK_BUSY: i32 = 1;
export const DISK_BUSY: i32 = 2;
export const CPU_BUSY: i32 = 3;
export const MEMORY_BUSY: i32 = 4;
export const RESOURCES: i32 = 5;

const MAX_PASSES: i32 = 24;
/** Two passes are the same when they differ by less than this share of them. */
const SAME: f64 = 1e-4;

/** What the chain does with a unit, one after another. */
const WAITING: i32 = 0;
const HANDING_OVER: i32 = 1;
const COMPUTING: i32 = 2;
const RUNNING: i32 = 3;

/** One thing that a resource did. */
export class Event {
  constructor(
    readonly resource: i32,
    readonly lane: i32,
    readonly unit: i32,
    readonly begin: f64,
    readonly end: f64,
  ) {}
}

export class Simulation {
  /** Of a pass in steady state. */
  seconds: f64 = 0;
  /** Seconds that each resource works in it. */
  readonly busy: StaticArray<f64> = new StaticArray<f64>(RESOURCES);
  /** Seconds of the pass that hand hidden states over and are no unit's. */
  aside: f64 = 0;
  /** What ended in the last pass, where it was asked for; times since it began. */
  events: Event[] = [];
}

/** `keepsEvents`: a plan is simulated often and looked at seldom, and memory is never given back. */
export function simulate(request: Request, schedule: Schedule, class_: i32, keepsEvents: bool): Simulation {
  return new Simulator(request, schedule, class_, keepsEvents).run();
}

class Simulator {
  private readonly transfers: Transfers;
  private readonly units: i32;
  /** Transfers of a pass, and those of them that come from disk. */
  private readonly count: i32;
  private reading: i32[] = [];
  /** How many transfers before each one its buffer was last used. */
  private slotReach: StaticArray<i32> = [];
  private stageReach: StaticArray<i32> = [];
  /** Ordinal among the reads of each transfer. */
  private readOf: StaticArray<i32> = [];
  /** Seconds of reading [read][drive]. */
  private readWork: StaticArray<f64> = [];
  private readonly linkSlower: f64;

  private stuck: bool = false;
  private now: f64 = 0;
  /** When the pass began. */
  private began: f64 = 0;
  private pass: i32 = 0;
  private unit: i32 = 0;
  private phase: i32 = WAITING;
  private readonly chain: Task = new Task();
  private readonly link: Task = new Task();
  private disk: StaticArray<Task> = [];
  /** Counted over all passes: transfers whose unit was reached, whose slot is free again, that were copied, and reads done. */
  private reached: i32 = 0;
  private freed: i32 = 0;
  private copied: i32 = 0;
  private stagesFreed: i32 = 0;
  private drained: StaticArray<i32> = [];

  private result: Simulation = new Simulation();
  private busy: StaticArray<f64> = new StaticArray<f64>(RESOURCES);
  private driveBusy: StaticArray<f64> = [];
  private aside: f64 = 0;
  private events: Event[] = [];

  constructor(
    private readonly request: Request,
    private readonly schedule: Schedule,
    private readonly class_: i32,
    private readonly keepsEvents: bool,
  ) {
    this.transfers = schedule.classes[class_];
    this.units = request.units;
    this.count = this.transfers.unit.length;
    this.linkSlower = stolenSeconds(request);
    this.prepareReads();
    this.slotReach = reaches(this.transfers.slot);
    const staging: i32[] = [];
    for (let i = 0; i < this.reading.length; i++) staging.push(this.transfers.staging[this.reading[i]]);
    this.stageReach = reaches(staging);
    this.disk = new StaticArray<Task>(request.drives);
    this.drained = new StaticArray<i32>(request.drives);
    this.driveBusy = new StaticArray<f64>(request.drives);
    for (let drive = 0; drive < request.drives; drive++) this.disk[drive] = new Task();
  }

  private prepareReads(): void {
    const drives = this.request.drives;
    this.readOf = new StaticArray<i32>(this.count);
    for (let i = 0; i < this.count; i++) {
      this.readOf[i] = this.reading.length;
      if (this.transfers.staging[i] >= 0) this.reading.push(i);
    }
    this.readWork = new StaticArray<f64>(this.reading.length * drives);
    for (let read = 0; read < this.reading.length; read++) {
      const reads = this.schedule.reads[this.transfers.unit[this.reading[read]]]!;
      for (let drive = 0; drive < drives; drive++) {
        this.readWork[read * drives + drive] = driveWork(this.request, reads, drive);
      }
    }
  }

  run(): Simulation {
    let last: f64 = -1;
    while (this.pass < MAX_PASSES) {
      const pass = this.pass;
      this.busy.fill(0);
      this.driveBusy.fill(0);
      this.aside = 0;
      this.events.length = 0;
      while (this.pass === pass && !this.stuck) this.step();
      if (this.stuck) {
        this.result.seconds = Infinity;
        break;
      }
      const seconds = this.now - this.began;
      const settled = this.settles(SAME * seconds);
      const steady = settled && pass > 1 && Math.abs(seconds - last) <= SAME * seconds;
      this.result.seconds = seconds;
      if (steady || this.pass === MAX_PASSES) break;
      last = seconds;
      this.began = this.now;
    }
    // What goes on has worked in this pass as well. Several drives are one resource, as busy as the busiest of them.
    if (this.link.active) this.busy[LINK_BUSY] += this.sinceBegin(this.link);
    for (let drive = 0; drive < this.driveBusy.length; drive++) {
      if (this.disk[drive].active) this.driveBusy[drive] += this.sinceBegin(this.disk[drive]);
      this.busy[DISK_BUSY] = Math.max(this.busy[DISK_BUSY], this.driveBusy[drive]);
    }
    for (let i = 0; i < RESOURCES; i++) this.result.busy[i] = this.busy[i];
    this.result.aside = this.aside;
    for (let i = 0; i < this.events.length; i++) {
      const event = this.events[i];
      const begin = event.begin - this.began;
      this.result.events.push(new Event(event.resource, event.lane, event.unit, begin, event.end - this.began));
    }
    return this.result;
  }

  /** Passes may take equally long while a drive still fills the ring, or by chance: a pass repeats where this is true as well. */
  private settles(tolerance: f64): bool {
    let settled = this.link.settles(this.copied - this.pass * this.count, tolerance);
    for (let drive = 0; drive < this.disk.length; drive++) {
      const done = this.drained[drive] - this.pass * this.reading.length;
      if (!this.disk[drive].settles(done, tolerance)) settled = false;
    }
    return settled;
  }

  /** Seconds that a task has worked in this pass so far. */
  private sinceBegin(task: Task): f64 {
    return this.now - Math.max(task.begin, this.began);
  }

  /** Starts what can start, goes on to the first end of something, and ends it. */
  private step(): void {
    this.startReads();
    // In a shared queue copies were enqueued when their slot was freed: before the kernels that come next.
    this.startCopy();
    this.startChain();
    this.setSpeeds();
    let soonest: f64 = Infinity;
    soonest = this.untilEnd(this.chain, soonest);
    soonest = this.untilEnd(this.link, soonest);
    for (let drive = 0; drive < this.disk.length; drive++) soonest = this.untilEnd(this.disk[drive], soonest);
    // Cannot be: whatever the chain waits for has its buffer freed by what came before it.
    if (!(soonest < Infinity)) {
      this.stuck = true;
      return;
    }
    const chain = this.advance(this.chain, soonest);
    const link = this.advance(this.link, soonest);
    for (let drive = 0; drive < this.disk.length; drive++) {
      const task = this.disk[drive];
      if (!this.advance(task, soonest)) continue;
      task.end = this.now + soonest;
      this.driveBusy[drive] += soonest + this.sinceBegin(task);
      this.record(DISK_BUSY, drive, task.unit, task.begin, task.end);
      this.drained[drive]++;
    }
    this.now += soonest;
    if (link) this.endCopy();
    if (chain) this.endChain();
  }

  private untilEnd(task: Task, soonest: f64): f64 {
    return task.active ? Math.min(soonest, task.left / task.speed) : soonest;
  }

  /** True when the task ends with this step. */
  private advance(task: Task, seconds: f64): bool {
    if (!task.active) return false;
    const ends = task.left / task.speed <= seconds * (1 + 1e-12);
    task.left = ends ? 0 : task.left - seconds * task.speed;
    this.busy[MEMORY_BUSY] += (seconds * task.speed * task.traffic) / this.request.memoryTotal;
    if (ends) task.active = false;
    return ends;
  }

  private note(resource: i32, task: Task): void {
    this.busy[resource] += this.sinceBegin(task);
    this.record(resource, 0, task.unit, task.begin, this.now);
  }

  private record(resource: i32, lane: i32, unit: i32, begin: f64, end: f64): void {
    if (this.keepsEvents) this.events.push(new Event(resource, lane, unit, begin, end));
  }

  private startReads(): void {
    const reads = this.reading.length;
    if (reads === 0) return;
    for (let drive = 0; drive < this.disk.length; drive++) {
      const task = this.disk[drive];
      while (!task.active) {
        const next = this.drained[drive];
        const read = next % reads;
        if (next - this.stageReach[read] >= this.stagesFreed) break;
        const work = this.readWork[read * this.disk.length + drive];
        if (work === 0) {
          this.drained[drive]++;
          continue;
        }
        // A drive that had nothing to do begins with a lone request.
        const idle = task.end < this.now;
        const unit = this.transfers.unit[this.reading[read]];
        const bytes = this.request.unitBytes[unit] / <f64>this.disk.length;
        task.start(unit, work + (idle ? this.request.driveLatency[drive] : 0), bytes, this.now);
        break;
      }
    }
  }

  /** Reads that have all their bytes. */
  private readsDone(): i32 {
    let least = this.drained[0];
    for (let drive = 1; drive < this.drained.length; drive++) least = min(least, this.drained[drive]);
    return least;
  }

  /** Whether the bytes of a transfer, counted over all passes, have been read. */
  private isRead(transfer: i32): bool {
    const index = transfer % this.count;
    if (this.transfers.staging[index] < 0) return true;
    return this.readsDone() > (transfer / this.count) * this.reading.length + this.readOf[index];
  }

  private startCopy(): void {
    if (this.count === 0 || !this.request.hasDevice || this.link.active) return;
    if (!this.request.overlaps && this.chain.active && this.phase === RUNNING) return;
    const index = this.copied % this.count;
    if (this.copied - this.slotReach[index] >= this.freed || !this.isRead(this.copied)) return;
    const unit = this.transfers.unit[index];
    const bytes = this.request.unitBytes[unit];
    const staged = this.transfers.staging[index] >= 0;
    const seconds = staged ? stagedCopySeconds(this.request, unit) : copySeconds(this.request, bytes);
    this.link.start(unit, seconds, bytes, this.now);
  }

  private endCopy(): void {
    this.note(LINK_BUSY, this.link);
    if (this.transfers.staging[this.copied % this.count] >= 0) this.stagesFreed++;
    this.copied++;
  }

  private mode(): i32 {
    return modeOf(this.schedule.codes[this.unit], this.class_);
  }

  /**
   * Frees the slot of the streamed unit that the chain has left: with the resident units behind it, it was one segment. Where
   * kernels read staging buffers, a unit is a segment by itself.
   */
  private leaveSegment(): void {
    while (this.freed < this.reached) {
      const staged = this.transfers.staging[this.freed % this.count] >= 0;
      if (staged && !this.request.hasDevice) this.stagesFreed++;
      this.freed++;
    }
  }

  private startChain(): void {
    if (this.chain.active) return;
    const shared = !this.request.overlaps && this.request.hasDevice;
    if (this.phase === RUNNING && shared && this.link.active) return;
    if (this.unit === this.units) {
      this.chain.start(-1, this.request.overhead[this.class_], 0, this.now);
      return;
    }
    const at = this.unit * this.request.classes + this.class_;
    const bytes = this.request.unitBytes[this.unit];
    const mode = this.mode();
    if (mode === ON_CPU) {
      if (this.phase === WAITING) this.phase = HANDING_OVER;
      if (this.phase === HANDING_OVER) this.chain.start(this.unit, this.request.handOver[this.class_], 0, this.now);
      if (this.phase === COMPUTING) this.chain.start(this.unit, this.request.cpu[at], bytes, this.now);
      if (this.phase === RUNNING) this.chain.start(this.unit, this.request.beside[at], 0, this.now);
      return;
    }
    if (this.phase === WAITING && !this.arrive(mode)) return;
    this.phase = RUNNING;
    if (shared && this.link.active) return;
    this.chain.start(this.unit, this.request.device[at], this.request.hasDevice ? 0 : bytes, this.now);
  }

  /** Whether the unit's weights are where its kernels read them. */
  private arrive(mode: i32): bool {
    if (mode !== LINKED && this.schedule.codes[this.unit] !== DISK) return true;
    const there = this.request.hasDevice ? this.copied > this.reached : this.isRead(this.reached);
    if (there) this.reached++;
    return there;
  }

  private endChain(): void {
    if (this.unit === this.units) {
      this.aside += this.now - this.chain.begin;
      this.record(COMPUTE, 0, -1, this.chain.begin, this.now);
      this.unit = 0;
      this.pass++;
      return;
    }
    if (this.phase === RUNNING) {
      this.note(COMPUTE, this.chain);
      this.phase = WAITING;
      this.unit++;
      if (!this.request.hasDevice || this.unit === this.units || this.mode() !== ON_DEVICE) this.leaveSegment();
      return;
    }
    if (this.phase === COMPUTING) this.note(CPU_BUSY, this.chain);
    else this.aside += this.now - this.chain.begin;
    this.phase++;
  }

  private setSpeeds(): void {
    this.chain.speed = 1;
    this.link.speed = 1;
    const computing = this.chain.active && this.phase === COMPUTING && this.unit < this.units;
    if (computing && this.link.active) {
      const at = this.unit * this.request.classes + this.class_;
      const bytes = this.request.unitBytes[this.unit];
      const alone = this.request.cpu[at];
      const slowed = besideLinkSeconds(this.request, alone, bytes);
      if (slowed > 0) {
        this.chain.speed = Math.max(0.01, alone / slowed);
        this.link.speed = Math.max(0.01, 1 - (bytes * this.linkSlower) / slowed);
      }
    }
    let traffic = this.traffic(this.chain) + this.traffic(this.link);
    for (let drive = 0; drive < this.disk.length; drive++) {
      this.disk[drive].speed = 1;
      traffic += this.traffic(this.disk[drive]);
    }
    if (traffic <= this.request.memoryTotal) return;
    const slower = this.request.memoryTotal / traffic;
    if (this.chain.traffic > 0) this.chain.speed *= slower;
    this.link.speed *= slower;
    for (let drive = 0; drive < this.disk.length; drive++) this.disk[drive].speed = slower;
  }

  private traffic(task: Task): f64 {
    return task.active ? task.traffic * task.speed : 0;
  }
}
