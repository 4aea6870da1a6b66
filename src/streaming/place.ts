// Memory for every unit in its tier, and the reads that fill it: file bytes go straight to where they will stay.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Backend, BoundWeight, DeviceMemory, HostMemory } from '../backend/backend.js';
import { NtxError } from '../errors.js';
import type { GgufModel, TensorInfo } from '../gguf/types.js';
import { isTied, type Model } from '../model/index.js';
import type { Extent } from '../placement/plan.js';
import { asInFile, bind, type PlacedTensor, pack, paddedBytes } from './layout.js';
import type { LoadOptions } from './load.js';
import { openReader } from './open-reader.js';
import { readWeights, type WeightRange } from './read-weights.js';
import type { ExecutablePlan } from './recording.js';

/** A model's weights where the plan has them. */
export interface PlacedWeights {
  /** Resident ones, and the embedding. */
  readonly weights: ReadonlyMap<string, BoundWeight>;
  /** Per index of a unit: pinned RAM with its tensors, packed as in a slot. */
  readonly pinned: ReadonlyMap<number, HostMemory>;
  /** What the CPU computes with: matrices of `host-compute`, in the same bytes where the device copies them, and their norms. */
  readonly onCpu: ReadonlyMap<string, BoundWeight>;
  readonly slots: readonly DeviceMemory[];
  readonly staging: readonly HostMemory[];
  /** Of weights, in memory. */
  readonly bytes: number;
  /** Memory of the CPU is the device's no more. */
  unpin(): void;
  free(): void;
}

/**
 * Allocates the plan's memory and fills it. On failure or cancellation everything is freed before the NtxError comes. Units of
 * `disk` stay in their files, those of `host-compute` come to memory of `cpu`.
 */
export async function placeWeights(
  gguf: GgufModel,
  model: Model,
  backend: Backend,
  plan: ExecutablePlan,
  options: LoadOptions = {},
  cpu: Backend | null = null,
): Promise<PlacedWeights> {
  const reader = await openReader(
    gguf.files.map(({ path }) => path),
    { useCache: true, ...(backend.device.hostIsDevice && { method: 'pread' }) }, // into fresh memory there, into staging elsewhere
  );
  const placing = new Placing(backend, reader.alignment);
  try {
    placing.tensors('norms and biases', model.small);
    if (!options.tableOnDevice) placing.table(model.embedding);
    else if (!isTied(model)) placing.tensors('token embedding', [model.embedding]);
    if (cpu !== null) placing.smallForCpu(smallOf(model, plan.tiers), cpu);
    const slots = plan.slots.map((bytes, i) => placing.device(bytes, `slot ${i}`));
    const staging = plan.staging.map((bytes, i) => placing.host(bytes, `staging buffer ${i}`));
    for (const [index, { name, tensors }] of model.units.entries()) {
      if (plan.tiers[index] === 'device') placing.tensors(name, tensors);
      else if (plan.tiers[index] === 'host-copy') placing.pin(index, name, tensors);
      else if (plan.tiers[index] === 'host-compute') placing.pinForCpu(index, name, tensors, cpu!);
      else continue;
      // Pinning gigabytes takes seconds: signals and timers get their turn.
      await nextTurn();
      if (options.signal?.aborted) throw new NtxError('cancelled', 'loading was cancelled', 'run the command again');
    }
    const fileBytes = gguf.files.map(({ bytes }) => bytes);
    await readWeights(reader, placing.ranges, fileBytes, backend, options);
    const { weights, pinned, onCpu, bytes } = placing;
    return { weights, pinned, onCpu, slots, staging, bytes, unpin: () => placing.unpin(), free: () => placing.free() };
  } catch (error) {
    placing.free();
    throw error;
  } finally {
    await reader.close();
  }
}

/** Norms and biases of the units of `host-compute`, which the CPU has as well. */
export function smallOf({ units, small }: Model, tiers: ExecutablePlan['tiers']): TensorInfo[] {
  const ops = units.flatMap((unit, index) => (tiers[index] === 'host-compute' ? unit.ops : []));
  const names = new Set(
    ops.flatMap((op) => {
      if (op.kind === 'rms-norm') return [op.weight];
      return op.kind === 'matmul' ? op.parts.map(({ bias }) => bias) : [];
    }),
  );
  return small.filter(({ name }) => names.has(name));
}

/** What has been allocated so far, and what is to be read into it. */
class Placing {
  readonly weights = new Map<string, BoundWeight>();
  readonly pinned = new Map<number, HostMemory>();
  readonly onCpu = new Map<string, BoundWeight>();
  readonly ranges: WeightRange[] = [];
  /** Of the tensors. */
  bytes = 0;
  readonly #memories: DeviceMemory[] = [];
  readonly #registered: HostMemory[] = [];

  constructor(
    private readonly backend: Backend,
    /** Of reads. */
    private readonly alignment: number,
  ) {}

  unpin(): void {
    for (const memory of this.#registered.splice(0)) memory.free();
  }

  free(): void {
    // Pages are pinned no longer than they are there.
    for (const memory of this.#memories.toReversed()) memory.free();
  }

  device(bytes: number, label: string): DeviceMemory {
    return this.#keep(this.backend.allocateDevice(bytes, label));
  }

  host(bytes: number, label: string): HostMemory {
    return this.#keep(this.backend.allocateHost(bytes, label));
  }

  /** The embedding stays with the host, which gives a pass its rows. */
  table(tensor: TensorInfo): void {
    const label = 'token embedding';
    if (this.backend.device.hostIsDevice) {
      this.#inHost(label, [tensor]);
      return;
    }
    const memory = this.backend.allocateTable?.(tensor.bytes, label) ?? this.backend.allocateHost(tensor.bytes, label);
    this.#bind({ tensor, at: 0 }, this.#keep(memory));
    this.#read(tensor, memory, 0);
  }

  /** Tensors that ops use on the device. */
  tensors(label: string, tensors: readonly TensorInfo[]): void {
    const { hostIsDevice, allocationBytes = Number.POSITIVE_INFINITY } = this.backend.device;
    if (hostIsDevice) {
      this.#inHost(label, tensors);
      return;
    }
    for (const group of groupsOf(tensors, allocationBytes)) {
      const { placed, bytes } = pack(group);
      const memory = this.device(bytes, label);
      for (const each of placed) {
        this.#bind(each, memory);
        this.#read(each.tensor, memory, each.at);
      }
    }
  }

  /** A unit as it will be copied into its slot. */
  pin(index: number, label: string, tensors: readonly TensorInfo[]): void {
    const { placed, bytes } = pack(tensors);
    const memory = this.host(bytes, label);
    this.pinned.set(index, memory);
    for (const { tensor, at } of placed) {
      this.bytes += tensor.bytes;
      this.#read(tensor, memory, at);
    }
  }

  /** A unit as it will be copied into its slot, in memory that the CPU computes with. */
  pinForCpu(index: number, label: string, tensors: readonly TensorInfo[], cpu: Backend): void {
    const memory = this.#onCpu(label, tensors, cpu);
    const pages = memory.view(0, memory.bytes);
    if (!this.backend.registerHost) return;
    const shared = this.#keep(this.backend.registerHost(pages, label));
    this.pinned.set(index, shared);
    this.#registered.push(shared);
  }

  /** Norms that the CPU computes with as well as the device. */
  smallForCpu(tensors: readonly TensorInfo[], cpu: Backend): void {
    if (tensors.length > 0) this.#onCpu('norms for the CPU', tensors, cpu);
  }

  #onCpu(label: string, tensors: readonly TensorInfo[], cpu: Backend): HostMemory {
    const { placed, bytes } = pack(tensors);
    const memory = this.#keep(cpu.allocateHost(bytes, label));
    for (const { tensor, at } of placed) {
      this.onCpu.set(tensor.name, bind(tensor, { memory, offset: at, bytes: tensor.bytes }));
      this.bytes += tensor.bytes;
      this.#read(tensor, memory, at);
    }
    return memory;
  }

  #inHost(label: string, tensors: readonly TensorInfo[]): void {
    // A tied output head is the embedding.
    const { placed, extents, bytes } = asInFile(
      tensors.filter(({ name }) => !this.weights.has(name)),
      this.alignment,
    );
    if (placed.length === 0) return;
    const memory = this.host(bytes, label);
    for (const each of placed) this.#bind(each, memory);
    for (const extent of extents) this.#read(extent, memory, extent.at);
  }

  /** Where a tied output head's matrix has been bound already, as the host's embedding, that stays its table. */
  #bind({ tensor, at }: PlacedTensor, memory: DeviceMemory): void {
    const table = this.weights.get(tensor.name)?.range;
    const range = { memory, offset: at, bytes: tensor.bytes };
    this.weights.set(tensor.name, { ...bind(tensor, range), ...(table && { table }) });
    this.bytes += tensor.bytes;
  }

  #read({ file, offset, bytes }: TensorInfo | Extent, memory: DeviceMemory | HostMemory, at: number): void {
    this.ranges.push({ file, offset, bytes, memory, at });
  }

  #keep<T extends DeviceMemory>(memory: T): T {
    this.#memories.push(memory);
    return memory;
  }
}

/** Neighbours whose sum stays within the limit. */
function groupsOf(tensors: readonly TensorInfo[], limit: number): TensorInfo[][] {
  const groups: TensorInfo[][] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    bytes += paddedBytes(tensor);
    if (bytes > limit || groups.length === 0) {
      groups.push([]);
      bytes = paddedBytes(tensor);
    }
    groups.at(-1)!.push(tensor);
  }
  return groups;
}
