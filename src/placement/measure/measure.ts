// A machine's description by measurement, in at most ten seconds.
import { release } from 'node:os';
import type { Backend, DeviceMemory } from '../../backend/backend.js';
import { CpuBackend } from '../../backend/cpu/cpu.js';
import { NtxError } from '../../errors.js';
import { GGML_TYPES, type GgmlType } from '../../gguf/types.js';
import {
  type DeviceDescription,
  type HostDescription,
  MACHINE_FORMAT,
  type Machine,
  type ProductRates,
} from '../machine.js';
import { findNvidiaDriver } from '../system.js';
import { allocateWeights, withRoom } from './bench-memory.js';
import { DISK_MEMORY_BYTES, groupByDisk, measureDisk } from './disk.js';
import { hostAgain, hostOf, openCpu } from './host.js';
import { type LaunchCosts, measureLaunch } from './launch.js';
import { measureLink } from './link.js';
import { bestProducts, measureProducts, noteMissing, productSizes } from './products.js';
import { Allowance, type Clock, fastest, systemClock } from './timing.js';

const SECONDS = 10;
/** Of the seconds: allocations and the last figure of each probe may go beyond its share. */
const SPENT = 0.8;

/** What the probes of one kind may take of the time that is left when they begin. */
const SHARES = { device: 0.4, cpu: 0.5, disks: 0.6, again: 0.4 } as const;

export interface MeasureOptions {
  readonly backend: Backend;
  /** The model's types, those with most bytes first; the others follow while there is time. */
  readonly types?: readonly GgmlType[] | undefined;
  /** The model's files: the file systems that they lie on are measured. */
  readonly files?: readonly string[] | undefined;
  /** Also measure types that are not asked for. */
  readonly allTypes?: boolean | undefined;
  /** Called before each probe: which it is, and how many there are. */
  readonly onProgress?: ((probe: string, index: number, count: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly now?: Clock | undefined;
}

/** Measures everything. Throws NtxError('cancelled'), and what backends and files throw. */
export async function measureMachine(options: MeasureOptions): Promise<Machine> {
  const { backend, files = [], onProgress, signal, now = systemClock } = options;
  const { hostIsDevice } = backend.device;
  const allowance = new Allowance(SECONDS * SPENT, now);
  const types = orderedTypes(options);
  const assumptions: string[] = [];
  const count = hostIsDevice ? 4 : 5;
  let index = 0;
  const begin = (probe: string) => {
    if (signal?.aborted) throw new NtxError('cancelled', 'the measurement was cancelled', 'run it again');
    onProgress?.(probe, index++, count);
  };
  begin('device');
  const device = await deviceOf(backend, types, allowance.share(SHARES.device), assumptions);
  let link: Machine['link'] = null;
  if (!hostIsDevice) {
    begin('link');
    const measured = await measureLink(backend, now);
    // Until a run tells: it is measured where units are computed.
    link = { ...measured, handOverSeconds: device.passSeconds + measured.passAfterCopySeconds };
  }
  const cpu = openCpu(assumptions);
  try {
    begin('processor');
    const host = await hostOf(
      cpu,
      backend,
      device,
      types,
      allowance.share(SHARES.cpu),
      () => begin('host memory'),
      assumptions,
    );
    begin('disks');
    const disks = await disksOf(cpu ?? backend, files, allowance.share(SHARES.disks), assumptions);
    const name = hostIsDevice ? backend.device.name : `${backend.device.name}, ${host.cpu}`;
    const date = new Date().toISOString();
    const machine = { name, date, assumptions, device, link, host, disks };
    const again = await measureAgain(backend, cpu, host, options.types ?? types, allowance);
    return { format: MACHINE_FORMAT, ...withBest(machine, again, backend), corrections: [] };
  } finally {
    await cpu?.dispose();
  }
}

/** What is measured twice. */
interface Again {
  readonly launch: LaunchCosts;
  readonly products: ProductRates;
  readonly host: HostDescription;
}

/** Launches, products of the types that are wanted and the host, seconds later: what disturbed the first time may be over. */
async function measureAgain(
  backend: Backend,
  cpu: CpuBackend | null,
  host: HostDescription,
  types: readonly GgmlType[],
  allowance: Allowance,
): Promise<Again | null> {
  if (allowance.left() === 0) return null;
  const launch = await measureLaunch(backend, allowance.now);
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  try {
    const products = await measureProducts(backend, weights, types, sizes, allowance.share(SHARES.again));
    return { launch, products, host: cpu ? await hostAgain(cpu, backend, host, types, allowance) : host };
  } finally {
    weights.free();
  }
}

/** The machine with the better of both figures of the device, which is the host's as well where both are the cpu backend. */
function withBest<Part extends Pick<Machine, 'device' | 'host'>>(
  machine: Part,
  again: Again | null,
  backend: Backend,
): Part {
  if (again === null) return machine;
  const { host, launch } = again;
  const device = {
    ...machine.device,
    launchSeconds: Math.min(machine.device.launchSeconds, launch.launchSeconds),
    passSeconds: Math.min(machine.device.passSeconds, launch.passSeconds),
    products: bestProducts(machine.device.products, again.products),
  };
  if (!(backend instanceof CpuBackend)) return { ...machine, device, host };
  const products = host.products.map((rates) => {
    return rates.threads === backend.threads ? { ...rates, products: device.products } : rates;
  });
  return { ...machine, device, host: { ...host, products } };
}

/** Measures the file systems of some files alone, for a machine that is known otherwise. */
export async function measureDisks(files: readonly string[], now: Clock = systemClock): Promise<Machine['disks']> {
  const cpu = openCpu([]);
  if (!cpu) return [];
  try {
    return await disksOf(cpu, files, new Allowance((SECONDS * SPENT) / 2, now), []);
  } finally {
    await cpu.dispose();
  }
}

function orderedTypes({ types = [], allTypes = false }: MeasureOptions): GgmlType[] {
  const common: GgmlType[] = ['Q4_K', 'Q6_K', 'Q8_0', 'Q5_K', 'Q3_K', 'F16'];
  const rest = allTypes ? [...common, ...GGML_TYPES] : [];
  const wanted = [...types, ...rest];
  return [...new Set(wanted.length > 0 ? wanted : common)];
}

async function deviceOf(
  backend: Backend,
  types: readonly GgmlType[],
  allowance: Allowance,
  assumptions: string[],
): Promise<DeviceDescription> {
  const { backend: kind, name, memoryBytes, hostIsDevice } = backend.device;
  const sizes = productSizes(backend.device);
  const weights = await allocateWeights(backend, sizes.totalBytes);
  try {
    const readRate = await readRateOf(backend, allowance.now, assumptions);
    const launch = await measureLaunch(backend, allowance.now);
    const products = await measureProducts(backend, weights, types, sizes, allowance);
    noteMissing(types, products, 'device', assumptions);
    return {
      backend: kind,
      name,
      driver: hostIsDevice ? null : (findNvidiaDriver() ?? `kernel ${release()}`),
      kind: backend.device.kind,
      memoryBytes: backend.memory?.().total ?? (memoryBytes > 0 ? memoryBytes : null),
      hostIsDevice,
      // WebGPU has one queue; the others copy nothing.
      copiesOverlapKernels: kind === 'cuda',
      sharesPages: backend.registerHost !== undefined,
      readRate,
      ...launch,
      products,
    };
  } finally {
    weights.free();
  }
}

const MEBIBYTE = 2 ** 20;

async function readRateOf(backend: Backend, now: Clock, assumptions: string[]): Promise<number> {
  const { kind } = backend.device;
  const bytes = (kind === 'discrete-gpu' ? 512 : kind === 'software-gpu' ? 32 : 256) * MEBIBYTE;
  const measure = backend.measureReadBandwidth?.bind(backend);
  if (measure) return withRoom(bytes, measure);
  assumptions.push('this backend cannot time plain reads: its copies, which read and write, stand in for them');
  const memories: DeviceMemory[] = [];
  try {
    const from = backend.allocateHost(16 * MEBIBYTE, 'copies to measure');
    const to = backend.allocateDevice(16 * MEBIBYTE, 'copies to measure');
    memories.push(from, to);
    const whole = { offset: 0, bytes: 16 * MEBIBYTE };
    const copy = () => backend.wait(backend.copy({ memory: from, ...whole }, { memory: to, ...whole }));
    return (2 * whole.bytes) / (await fastest(copy, now));
  } finally {
    for (const memory of memories) memory.free();
  }
}

async function disksOf(
  backend: Pick<Backend, 'allocateHost'>,
  files: readonly string[],
  allowance: Allowance,
  assumptions: string[],
): Promise<Machine['disks']> {
  if (files.length === 0) return [];
  const groups = await groupByDisk(files);
  const memory = backend.allocateHost(DISK_MEMORY_BYTES, 'reads to measure');
  try {
    const disks: Machine['disks'][number][] = [];
    for (const [index, group] of groups.entries()) {
      const disk = await measureDisk(group, memory, allowance.share(1 / (groups.length - index)));
      if (!disk.direct) assumptions.push(`${group.mount} allows no direct reads: its rate is one of the page cache`);
      disks.push(disk);
    }
    return disks;
  } finally {
    memory.free();
  }
}
