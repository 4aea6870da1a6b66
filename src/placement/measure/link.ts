// Host memory to device memory: by piece size, with kernels waiting for copies and copies for kernels.
import type { Backend, CommandList, DeviceMemory, Fence, HostMemory } from '../../backend/backend.js';
import type { Op } from '../../backend/ops.js';
import { StepBuffer } from '../../backend/step.js';
import type { CopyRate, LinkDescription } from '../machine.js';
import { withRoom } from './bench-memory.js';
import { type Clock, fastest } from './timing.js';

const KIBIBYTE = 2 ** 10;
const MEBIBYTE = 2 ** 20;
/** The first is a lone request's worth, the last the largest unit of a 70B model and more. */
const PIECES = [64 * KIBIBYTE, 256 * KIBIBYTE, MEBIBYTE, 4 * MEBIBYTE, 16 * MEBIBYTE, 64 * MEBIBYTE];
/** Bytes of one timing at most, which take milliseconds on the fastest links; and its seconds on slow ones. */
const RUN_BYTES = 256 * MEBIBYTE;
const RUN_SECONDS = 0.02;
const SOFTWARE_RUN_BYTES = 16 * MEBIBYTE;
const MOST_COPIES = 256;
const HAND_OVERS = 64;
const WIDTH = 256;

/** The link of a backend whose host is not the device. */
export async function measureLink(backend: Backend, now: Clock): Promise<Omit<LinkDescription, 'handOverSeconds'>> {
  const runBytes = backend.device.kind === 'software-gpu' ? SOFTWARE_RUN_BYTES : RUN_BYTES;
  const largest = Math.min(runBytes, PIECES[PIECES.length - 1]);
  const target = await withRoom(largest, (size) => backend.allocateDevice(size, 'copies to measure'));
  const { bytes } = target;
  try {
    const copies = await measureCopies(
      backend,
      backend.allocateHost(bytes, 'copies to measure'),
      target,
      runBytes,
      now,
    );
    const combined = backend.allocateWriteCombined?.(bytes, 'copies to measure') ?? null;
    const writeCombined = combined && (await measureCopies(backend, combined, target, runBytes, now));
    return { copies, writeCombined, ...(await measureHandOver(backend, now)) };
  } finally {
    target.free();
  }
}

/** One copy behind another, all on the way at the same time. Frees `source`. */
async function measureCopies(
  backend: Backend,
  source: HostMemory,
  target: DeviceMemory,
  runBytes: number,
  now: Clock,
): Promise<CopyRate[]> {
  try {
    const rates: CopyRate[] = [];
    let most = runBytes;
    for (const piece of PIECES.filter((piece) => piece <= source.bytes)) {
      const copies = new Copies(backend, source, target, piece);
      const count = Math.min(MOST_COPIES, Math.ceil(most / piece));
      const rate = (count * piece) / (await fastest(() => copies.run(count), now));
      rates.push({ bytes: piece, rate });
      most = Math.min(runBytes, rate * RUN_SECONDS);
    }
    return rates;
  } finally {
    source.free();
  }
}

/** Copies of pieces, in turn out of all of the source. */
class Copies {
  #next = 0;
  #first: Fence | null = null;

  constructor(
    private readonly backend: Backend,
    private readonly source: HostMemory,
    private readonly target: DeviceMemory,
    readonly bytes: number,
  ) {}

  /** A copy behind a fence runs beside the kernels where the backend can do that. */
  enqueue(after: Fence | null): Fence {
    const offset = (this.#next++ % Math.floor(this.source.bytes / this.bytes)) * this.bytes;
    const part = { offset, bytes: this.bytes };
    return this.backend.copy({ memory: this.source, ...part }, { memory: this.target, ...part }, after ?? undefined);
  }

  async run(count: number): Promise<void> {
    this.#first ??= this.enqueue(null);
    let last = this.#first;
    for (let i = 0; i < count; i++) last = this.enqueue(this.#first);
    await this.backend.wait(last);
  }
}

/** Two pieces that are long beside what it costs to learn that a copy has ended. */
const STREAM_BYTES = 128 * MEBIBYTE;
/**
 * Of what is waited for at once. A pass waits for its end alone; who waits for every copy wakes JavaScript's thread a thousand
 * times a second and lets no thread that watches the device sleep, and with every other core at work that is at a worker's cost.
 */
const WAIT_SECONDS = 0.08;
/** So that backends, which keep so many events, can tell the copies on the way apart. */
const MOST_WAITED = 64;

/** Copies as a stream that begins before `work` and goes on until it has ended: the stream's rate, and what `work` gave. */
export async function copyDuring<T>(
  backend: Backend,
  work: () => Promise<T>,
  now: Clock,
): Promise<{ rate: number; result: T }> {
  const target = await withRoom(STREAM_BYTES, (size) => backend.allocateDevice(size, 'copies to measure'));
  const piece = target.bytes / 2;
  let source: HostMemory | null = null;
  try {
    source = backend.allocateHost(target.bytes, 'copies to measure');
    const copies = new Copies(backend, source, target, piece);
    const once = await fastest(() => copies.run(1), now);
    const count = Math.max(1, Math.min(MOST_WAITED, Math.round(WAIT_SECONDS / once)));
    return await streamDuring(backend, copies, count, work, now);
  } finally {
    source?.free();
    target.free();
  }
}

/** @param count copies that are waited for at once */
async function streamDuring<T>(backend: Backend, copies: Copies, count: number, work: () => Promise<T>, now: Clock) {
  const enqueue = () => {
    let last = copies.enqueue(null);
    for (let i = 1; i < count; i++) last = copies.enqueue(null);
    return last;
  };
  // While some are waited for, the next ones run.
  const underway = [enqueue(), enqueue(), enqueue()];
  const begin = now();
  let ended = false;
  const working = work();
  const end = () => {
    ended = true;
  };
  const settled = working.then(end, end);
  try {
    let rate: number | null = null;
    for (let waited = 1; ; waited++) {
      await backend.wait(underway.shift()!);
      // Those at the end ran in part without the work.
      if (rate === null || !ended) rate = (waited * count * copies.bytes) / (now() - begin);
      if (ended) break;
      underway.push(enqueue());
    }
    await backend.wait(underway[underway.length - 1]);
    return { rate, result: await working };
  } finally {
    // Its memory is freed by whoever learns that the copies failed.
    await settled;
  }
}

/** What a slot of a ring costs beside its bytes. */
async function measureHandOver(
  backend: Backend,
  now: Clock,
): Promise<Pick<LinkDescription, 'copyAfterPassSeconds' | 'passAfterCopySeconds'>> {
  const bytes = WIDTH * 4;
  const source = backend.allocateHost(bytes, 'small copies to measure');
  const memories = [0, 1, 2].map(() => backend.allocateDevice(bytes, 'small passes to measure'));
  const [weight, x, y] = memories.map((memory) => ({ memory, offset: 0, bytes }));
  const target = backend.allocateDevice(bytes, 'small copies to measure');
  let list: CommandList | null = null;
  try {
    const op: Op = {
      kind: 'rms-norm',
      input: 'x',
      weight: 'w',
      out: 'y',
      width: WIDTH,
      eps: 1e-5,
      selectOutputs: false,
    };
    list = backend.record([op], {
      weights: new Map([['w', { type: 'F32', rows: 1, cols: WIDTH, range: weight }]]),
      buffers: new Map(Object.entries({ x, y })),
      sizes: { maxRows: 1, maxOutputs: 1, slots: 1, context: 1 },
    });
    await list.ready?.();
    return await timeHandOver(backend, list, new Copies(backend, source, target, bytes), now);
  } finally {
    list?.dispose();
    for (const memory of [source, target, ...memories]) memory.free();
  }
}

async function timeHandOver(backend: Backend, list: CommandList, copies: Copies, now: Clock) {
  const step = new StepBuffer(1, 1);
  step.addRow(0, 0, 0);
  const passes = async (after: readonly Fence[]) => {
    let last: Fence | null = null;
    for (let i = 0; i < HAND_OVERS; i++) last = backend.submit(list, step, after);
    await backend.wait(last!);
  };
  const plain = await fastest(() => passes([]), now);
  const copied = copies.enqueue(backend.submit(list, step));
  await backend.wait(copied);
  const waiting = await fastest(() => passes([copied]), now);
  const alone = await fastest(() => copies.run(HAND_OVERS), now);
  const inTurn = await fastest(async () => {
    let pass = backend.submit(list, step);
    for (let i = 0; i < HAND_OVERS; i++) pass = backend.submit(list, step, [copies.enqueue(pass)]);
    await backend.wait(pass);
  }, now);
  const passAfterCopy = Math.max(0, waiting - plain) / HAND_OVERS;
  const both = Math.max(0, inTurn - plain - alone) / HAND_OVERS;
  return { passAfterCopySeconds: passAfterCopy, copyAfterPassSeconds: Math.max(0, both - passAfterCopy) };
}
