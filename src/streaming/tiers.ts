// Where a streamed unit's bytes come from. The streamer knows a tier by this interface alone.
import type { Backend, DeviceMemory, Fence, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { Unit } from '../model/unit.js';
import type { Transfer } from '../placement/plan.js';
import { checksum } from './checksum.js';
import type { FileReader } from './file-reader.js';
import { locate, pack } from './layout.js';

export interface Tier {
  /**
   * Brings the bytes to where they can be copied from. Absent: they are there. `onBegin` is called when there is room for them.
   * Rejects with NtxError when they do not come.
   */
  fetch?(transfer: Transfer, onBegin: () => void): Promise<void>;
  /** Enqueues the way into a slot, behind `after`. */
  copy(transfer: Transfer, slot: DeviceMemory, after: Fence | undefined): Fence;
  /** What fetch() brought was used where it is, by what the fence stands for. */
  release?(transfer: Transfer, fence: Fence): void;
}

/** Units in pinned RAM, packed as in their slots: one copy each. */
export class PinnedTier implements Tier {
  constructor(
    private readonly backend: Backend,
    private readonly memories: ReadonlyMap<number, HostMemory>,
  ) {}

  copy({ unit }: Transfer, slot: DeviceMemory, after: Fence | undefined): Fence {
    const memory = this.memories.get(unit)!;
    const range = { offset: 0, bytes: memory.bytes };
    return this.backend.copy({ memory, ...range }, { memory: slot, ...range }, after);
  }
}

/** Units in files, read into staging buffers as they lie there; each tensor is copied to its place in the slot. */
export class DiskTier implements Tier {
  /** Per staging buffer: it may be written to again. Rejects when the device has failed. */
  readonly #free: Promise<void>[];
  /** Of units that were read before; null where none are kept. */
  readonly #checksums: Map<number, string> | null;

  constructor(
    private readonly backend: Backend,
    private readonly reader: FileReader,
    private readonly units: readonly Unit[],
    private readonly staging: readonly HostMemory[],
    /** Every read of a unit must bring what its first one brought. */
    verify: boolean,
  ) {
    this.#free = staging.map(() => Promise.resolve());
    this.#checksums = verify ? new Map() : null;
  }

  fetch(transfer: Transfer, onBegin: () => void): Promise<void> {
    const index = transfer.staging!;
    const fetched = this.#free[index].then(() => {
      onBegin();
      return this.#read(transfer, this.staging[index]);
    });
    // The next one waits for the end of all reads, whatever came of them.
    this.#free[index] = fetched.catch(() => {});
    return fetched;
  }

  copy(transfer: Transfer, slot: DeviceMemory, after: Fence | undefined): Fence {
    const memory = this.staging[transfer.staging!];
    const { tensors } = this.units[transfer.unit];
    const targets = pack(tensors).placed;
    let fence: Fence | undefined;
    locate(tensors, transfer.extents).forEach(({ tensor, at }, i) => {
      // Whole words, which some devices copy only: the rest of a tensor's padding is nobody's.
      const bytes = Math.ceil(tensor.bytes / 4) * 4;
      fence = this.backend.copy({ memory, offset: at, bytes }, { memory: slot, offset: targets[i].at, bytes }, after);
    });
    this.release(transfer, fence!);
    return fence!;
  }

  release({ staging }: Transfer, fence: Fence): void {
    const memory = this.staging[staging!];
    const free = this.#free[staging!].then(() => (memory.map ? memory.map() : this.backend.wait(fence)));
    free.catch(() => {});
    this.#free[staging!] = free;
  }

  /** When no read is under way any more. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#free);
  }

  async #read(transfer: Transfer, memory: HostMemory): Promise<void> {
    const results = await Promise.allSettled(transfer.extents.map((extent) => this.reader.read({ ...extent, memory })));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    if (this.#checksums) await this.#verify(transfer, memory, this.#checksums);
  }

  async #verify({ unit, extents }: Transfer, memory: HostMemory, known: Map<number, string>): Promise<void> {
    const { name, tensors } = this.units[unit];
    const sums = locate(tensors, extents).map(({ tensor: { bytes }, at }) => checksum({ memory, offset: at, bytes }));
    const sum = (await Promise.all(sums)).join();
    const before = known.get(unit);
    if (before === undefined) known.set(unit, sum);
    else if (before !== sum) {
      const at = `from byte ${tensors[0].offset} of its file on`;
      throw new NtxError(
        'io',
        `${name} (${at}) is not what it was when it was loaded: its checksum is another`,
        'check the drive; if the file was replaced, load the model again',
      );
    }
  }
}
