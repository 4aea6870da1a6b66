// What a streamed model did and when: the measured counterpart of the planner's timeline.
import type { Backend, Fence } from '../backend/backend.js';
import type { TimelineEvent } from '../placement/answer.js';
import type { Resource, Transfer } from '../placement/plan.js';
import type { CpuSpan } from './cpu-units.js';
import type { StreamWatcher } from './streamer.js';

export type BusyResource = Extract<Resource, 'compute' | 'link' | 'disk' | 'cpu'>;

/** Seconds of performance.now() / 1000. */
interface Span {
  readonly resource: BusyResource;
  readonly unit: number | null;
  begin: number;
  end: number;
}

/** What resources did between two moments. */
export interface StreamWindow {
  readonly seconds: number;
  /** Copies and kernels wait for each other in one queue, which tells no more than when both were at work. */
  readonly sharesQueue: boolean;
  /** Seconds that each was at work, and the bytes that it moved meanwhile. */
  readonly busy: Readonly<Record<BusyResource, number>>;
  readonly bytes: Readonly<Record<'link' | 'disk' | 'cpu', number>>;
  /** Seconds since the window began; below 0 for what began earlier. */
  readonly events: readonly TimelineEvent[];
}

/**
 * Watches a streamer. A device tells only when something has ended; each thing began when what it waited for had: the one before
 * it in its queue, the use of its slot, the copy of its unit.
 */
export class StreamRecorder implements StreamWatcher {
  readonly #spans: Span[] = [];
  readonly #waits: Promise<unknown>[] = [];
  /** The end of each queue of the device. Copies and kernels share one, where they do not run at once. */
  readonly #last: { link: Span | null; compute: Span | null } = { link: null, compute: null };
  readonly #users = new Map<number, Span>();
  readonly #copies = new Map<Transfer, Span>();
  /** What the CPU computes in front of the next kernels. */
  #beforeNext: Promise<Span | null> = Promise.resolve(null);

  /** `unitBytes`: of each unit, as it is copied. */
  constructor(
    private readonly backend: Backend,
    private readonly unitBytes: readonly number[],
  ) {}

  read({ unit }: Transfer, began: number, ended: number): void {
    this.#spans.push({ resource: 'disk', unit, begin: began / 1000, end: ended / 1000 });
  }

  copy(transfer: Transfer, fence: Fence): void {
    const span = this.#enqueue('link', transfer.unit, fence, this.#users.get(transfer.slot!));
    this.#copies.set(transfer, span);
  }

  cpu(unit: number, span: Promise<CpuSpan>): void {
    const seen = span.then(({ began, ended }): Span => {
      const known: Span = { resource: 'cpu', unit, begin: began / 1000, end: ended / 1000 };
      this.#spans.push(known);
      return known;
    });
    // A pass that fails says so itself.
    this.#beforeNext = seen.catch(() => null);
    this.#waits.push(this.#beforeNext);
  }

  compute(transfer: Transfer | null, fence: Fence): void {
    const span = this.#enqueue(
      'compute',
      transfer?.unit ?? null,
      fence,
      transfer ? this.#copies.get(transfer) : undefined,
    );
    if (transfer !== null && transfer.slot !== null) this.#users.set(transfer.slot, span);
  }

  /** What happened between two moments of performance.now(), when the device has done all that was enqueued. */
  async window(beganAt: number, endedAt: number): Promise<StreamWindow> {
    await Promise.all(this.#waits);
    const [from, to] = [beganAt / 1000, endedAt / 1000];
    const inside = this.#spans.filter(({ begin, end }) => end > from && begin < to);
    const of = (resource: BusyResource) => inside.filter((span) => span.resource === resource);
    const busy = (resource: BusyResource) => covered(of(resource), from, to);
    const queue = covered([...of('compute'), ...of('link')], from, to);
    const bytes = (resource: BusyResource) =>
      of(resource).reduce((sum, { unit, begin, end }) => {
        const share = (Math.min(end, to) - Math.max(begin, from)) / Math.max(end - begin, 1e-9);
        return sum + this.unitBytes[unit!] * share;
      }, 0);
    return {
      seconds: to - from,
      sharesQueue: this.#sharesQueue,
      busy: {
        compute: this.#sharesQueue ? queue : busy('compute'),
        link: this.#sharesQueue && of('link').length > 0 ? queue : busy('link'),
        disk: busy('disk'),
        cpu: busy('cpu'),
      },
      bytes: { link: bytes('link'), disk: bytes('disk'), cpu: bytes('cpu') },
      events: inside.map(({ resource, unit, begin, end }) => ({
        ...{ resource, unit, lane: 0, begin: begin - from, end: end - from },
      })),
    };
  }

  get #sharesQueue(): boolean {
    return this.backend.device.backend !== 'cuda';
  }

  #enqueue(resource: 'link' | 'compute', unit: number | null, fence: Fence, behind: Span | undefined): Span {
    const now = performance.now() / 1000;
    const span: Span = { resource, unit, begin: now, end: now };
    const onCpu = resource === 'compute' ? this.#beforeNext : null;
    if (onCpu !== null) this.#beforeNext = Promise.resolve(null);
    const before = this.#sharesQueue ? [this.#last.link, this.#last.compute] : [this.#last[resource]];
    this.#last[resource] = span;
    this.#spans.push(span);
    const finish = this.backend.wait(fence).then(async () => {
      span.end = performance.now() / 1000;
      // Those before it have ended, and their waits with them.
      for (const other of [...before, behind, await onCpu])
        if (other) span.begin = Math.max(span.begin, Math.min(other.end, span.end));
    });
    // A device that fails is reported by the pass.
    this.#waits.push(finish.catch(() => {}));
    return span;
  }
}

/** Windows with something in between that is left out, as one. */
export function joined(windows: readonly StreamWindow[]): StreamWindow {
  const add = <T extends string>(a: Readonly<Record<T, number>>, b: Readonly<Record<T, number>>) =>
    Object.fromEntries(Object.keys(a).map((name) => [name, a[name as T] + b[name as T]])) as Record<T, number>;
  return windows.reduce((before, next) => ({
    seconds: before.seconds + next.seconds,
    sharesQueue: next.sharesQueue,
    busy: add(before.busy, next.busy),
    bytes: add(before.bytes, next.bytes),
    events: [
      ...before.events,
      ...next.events.map((event) => ({
        ...event,
        begin: event.begin + before.seconds,
        end: event.end + before.seconds,
      })),
    ],
  }));
}

/** Seconds of [from, to] in which at least one span lies. */
function covered(spans: readonly Span[], from: number, to: number): number {
  let seconds = 0;
  let until = from;
  for (const { begin, end } of spans.toSorted((a, b) => a.begin - b.begin)) {
    const start = Math.max(begin, until);
    const stop = Math.min(end, to);
    if (stop > start) seconds += stop - start;
    until = Math.max(until, stop);
  }
  return seconds;
}
