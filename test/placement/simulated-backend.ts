// A backend of known speed with a clock of its own: what probes measure on it can be compared with what is true.
import type {
  Backend,
  Bindings,
  CommandList,
  DeviceInfo,
  DeviceMemory,
  DeviceRange,
  Fence,
  HostMemory,
  HostRange,
} from '../../src/backend/backend.js';
import type { Op } from '../../src/backend/ops.js';
import type { StepBuffer } from '../../src/backend/step.js';
import { NtxError } from '../../src/errors.js';
import type { GgmlType } from '../../src/gguf/types.js';

export interface Speeds {
  readonly linkRate: number;
  readonly combinedRate: number;
  /** Of each copy beside its bytes. */
  readonly copySeconds: number;
  readonly copyAfterPass: number;
  readonly passAfterCopy: number;
  readonly opSeconds: number;
  readonly readSeconds: number;
  productRate(type: GgmlType, rows: number): number;
}

class SimulatedMemory implements HostMemory {
  readonly #bytes: Uint8Array;

  constructor(
    readonly bytes: number,
    readonly label: string,
    readonly combined: boolean,
    private readonly live: Set<DeviceMemory>,
  ) {
    // What is large is only written to: its first MiB stands for all of it.
    this.#bytes = new Uint8Array(Math.min(bytes, 1 << 20));
    live.add(this);
  }

  view(_: number, bytes: number): Uint8Array {
    return this.#bytes.subarray(0, bytes);
  }

  free(): void {
    this.live.delete(this);
  }
}

interface SimulatedList extends CommandList {
  readonly ops: readonly Op[];
  readonly bindings: Bindings;
}

interface SimulatedFence extends Fence {
  readonly done: number;
  readonly isCopy: boolean;
}

export class SimulatedBackend implements Backend {
  readonly device: DeviceInfo;
  readonly live = new Set<DeviceMemory>();
  readonly lists = new Set<CommandList>();
  #host = 0;
  #compute = 0;
  #copies = 0;

  constructor(
    private readonly speeds: Speeds,
    kind: DeviceInfo['kind'] = 'discrete-gpu',
    /** Bytes that one allocation can have. */
    private readonly room = Number.POSITIVE_INFINITY,
  ) {
    this.device = { backend: 'cuda', name: 'simulated', kind, memoryBytes: 2 ** 34, hostIsDevice: false };
  }

  /** Seconds of the host. Looking at the clock takes a nanosecond, so that nothing takes no time at all. */
  readonly now = (): number => {
    this.#host += 1e-9;
    return this.#host;
  };

  allocateDevice(bytes: number, label: string): DeviceMemory {
    if (bytes > this.room) throw new NtxError('no-memory', `${label}: ${bytes} bytes`, 'take less');
    const { live } = this;
    const memory = { bytes, label, free: () => void live.delete(memory) };
    live.add(memory);
    return memory;
  }

  allocateHost(bytes: number, label: string): HostMemory {
    return new SimulatedMemory(bytes, label, false, this.live);
  }

  allocateWriteCombined(bytes: number, label: string): HostMemory {
    return new SimulatedMemory(bytes, label, true, this.live);
  }

  async measureReadBandwidth(): Promise<number> {
    return 1e12;
  }

  record(ops: readonly Op[], bindings: Bindings): CommandList {
    const list: SimulatedList = { ops, bindings, opCount: ops.length, dispose: () => void this.lists.delete(list) };
    this.lists.add(list);
    return list;
  }

  copy(from: HostRange, _: DeviceRange, after?: Fence): Fence {
    const { linkRate, combinedRate, copySeconds, copyAfterPass } = this.speeds;
    const rate = (from.memory as SimulatedMemory).combined ? combinedRate : linkRate;
    const behind = after as SimulatedFence | undefined;
    const wait = behind && !behind.isCopy ? behind.done + copyAfterPass : (behind?.done ?? this.#compute);
    this.#copies = Math.max(this.#host, this.#copies, wait) + copySeconds + from.bytes / rate;
    return this.#fence(this.#copies, true);
  }

  submit(list: CommandList, step: StepBuffer, after: readonly Fence[] = []): Fence {
    const { ops, bindings } = list as SimulatedList;
    const ready = Math.max(0, ...(after as SimulatedFence[]).map(({ done }) => done));
    const waiting = after.length > 0 ? this.speeds.passAfterCopy : 0;
    this.#compute = Math.max(this.#host, this.#compute, ready) + waiting;
    for (const op of ops) this.#compute += this.speeds.opSeconds + this.#weightSeconds(op, bindings, step.rows);
    return this.#fence(this.#compute, false);
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    this.#host = Math.max(this.#host, this.#compute) + this.speeds.readSeconds;
    return new ArrayBuffer(range.bytes);
  }

  async wait(fence: Fence): Promise<void> {
    this.#host = Math.max(this.#host, (fence as SimulatedFence).done);
  }

  async dispose(): Promise<void> {}

  #weightSeconds(op: Op, { weights }: Bindings, rows: number): number {
    const names = op.kind === 'matmul' ? op.parts.map(({ weight }) => weight) : [];
    if (op.kind === 'gated-matmul') names.push(op.gate, op.up);
    return names.reduce((sum, name) => {
      const { type, range } = weights.get(name)!;
      return sum + range.bytes / this.speeds.productRate(type, rows);
    }, 0);
  }

  #fence(done: number, isCopy: boolean): SimulatedFence {
    return { backend: 'cuda', done, isCopy };
  }
}
