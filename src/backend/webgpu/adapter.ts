// Which GPUs Dawn reaches, which of them ntx takes, and what their devices can do.
import { existsSync, readdirSync } from 'node:fs';
import { NtxError } from '../../errors.js';
import type { DeviceInfo } from '../backend.js';
import { closeGpu, openGpu } from './binding.js';
import type { DeviceFacts } from './kernel.js';

export interface AdapterEntry {
  /** What --adapter takes, beside the name. */
  readonly index: number;
  readonly name: string;
  /** Dawn's: vulkan, metal, d3d12, ... */
  readonly api: string;
  readonly kind: DeviceInfo['kind'];
  /** Why it is not taken unless it is asked for (software), or not at all; null: it is. */
  readonly refused: string | null;
  /** It may be taken when its name or index is asked for. */
  readonly usable: boolean;
}

export interface OpenedDevice {
  readonly gpu: GPU;
  readonly device: GPUDevice;
  readonly entry: AdapterEntry;
  readonly facts: DeviceFacts;
}

export interface AdapterOptions {
  /** A part of the adapter's name (any case) or its index in listAdapters(). Default: the first hardware adapter. */
  readonly adapter?: string | undefined;
  /** Only what every WebGPU device has: default limits (but for offsets) and no optional feature. For tests. */
  readonly portable?: boolean | undefined;
  /** Further switches of Dawn ("skip_validation"), for measurements. */
  readonly toggles?: readonly string[] | undefined;
}

/**
 * Timestamps in nanoseconds stand behind the first. The second leaves out the clamping of every index,
 * which slows kernels whose integer units are busy with decoding: all that kernels compute indices from has been checked by record() and submit().
 */
const ENABLED = ['allow_unsafe_apis', 'disable_robustness'];
const DISABLED = ['timestamp_quantization'];

const LIMITS = [
  'maxBufferSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupStorageSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
] as const satisfies (keyof GPUSupportedLimits)[];

const FEATURES = ['subgroups', 'timestamp-query'] as GPUFeatureName[];

const DRIVER_ADVICE =
  'install a driver (Vulkan on Linux); without a GPU, "node scripts/software-vulkan.mjs" gets a software one; or choose --backend cpu';

/**
 * Whether this machine may have a GPU at all. Looking costs nothing, where Dawn takes a tenth of a second and, with some
 * software drivers, prints warnings.
 */
export function mayHaveGpu(): boolean {
  if (process.platform !== 'linux') return true;
  if (existsSync('/dev/nvidiactl') || existsSync('/dev/dxg') || existsSync('/dev/kgsl-3d0')) return true;
  return existsSync('/dev/dri') && readdirSync('/dev/dri').some((name) => name.startsWith('renderD'));
}

/** An adapter that Dawn finds, in an instance of its own. */
interface Found {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter | null;
  readonly entry: AdapterEntry;
}

/** Every adapter that Dawn finds, hardware first. Throws NtxError('no-backend') where the package does not load. */
export async function listAdapters(): Promise<AdapterEntry[]> {
  const found = await openAdapters([]);
  for (const { gpu } of found) closeGpu(gpu);
  return found.map(({ entry }) => entry);
}

/** Opens the adapter that the options ask for. Throws NtxError('no-backend') that lists what there is. */
export async function openDevice(options: AdapterOptions = {}): Promise<OpenedDevice> {
  const found = await openAdapters(options.toggles ?? []);
  let opened: OpenedDevice | null = null;
  try {
    const { gpu, adapter, entry } = choose(found, options.adapter);
    const device = await requestDevice(adapter!, entry, options.portable ?? false);
    opened = { gpu, device, entry, facts: factsOf(gpu, adapter!, device) };
    return opened;
  } finally {
    for (const { gpu } of found) if (gpu !== opened?.gpu) closeGpu(gpu);
  }
}

/**
 * An instance for each adapter, which is also the one that its device is made of: some drivers (Mesa's) make Dawn print two
 * warnings on standard error with every instance ("artificially reduced"), which nothing that one can ask Dawn for prevents.
 */
async function openAdapters(toggles: readonly string[]): Promise<Found[]> {
  const switches = [`enable-dawn-features=${[...ENABLED, ...toggles]}`, `disable-dawn-features=${DISABLED}`];
  const found: (Omit<Found, 'entry'> & { readonly entry: Omit<AdapterEntry, 'index'> })[] = [];
  for (const { api, name } of await findAdapters()) {
    const gpu = await openGpu([...switches, `backend=${api}`, `adapter=${name}`]);
    const adapter = await gpu.requestAdapter().catch(() => null);
    found.push({ gpu, adapter, entry: { name, api, ...judge(api, adapter) } });
  }
  const order = ['discrete-gpu', 'integrated-gpu', 'software-gpu', 'cpu'];
  found.sort(
    ({ entry: a }, { entry: b }) =>
      Number(b.usable) - Number(a.usable) || order.indexOf(a.kind) - order.indexOf(b.kind),
  );
  return found.map((each, index) => ({ ...each, entry: { index, ...each.entry } }));
}

/** Dawn for Node lists adapters only in the error for a name that none has (the package's README). */
async function findAdapters(): Promise<{ api: string; name: string }[]> {
  const gpu = await openGpu(['adapter=(none has this name)']);
  const listing = await gpu.requestAdapter().then(
    () => '',
    (error: unknown) => String(error),
  );
  closeGpu(gpu);
  const found = [...listing.matchAll(/backend: '([^']*)', name: '(.*)'$/gm)].map(([, api, name]) => ({ api, name }));
  // Of several GPUs with one name Dawn reaches the first.
  return found.filter(({ api, name }, i) => found.findIndex((other) => other.api === api && other.name === name) === i);
}

function judge(api: string, adapter: GPUAdapter | null): Pick<AdapterEntry, 'kind' | 'refused' | 'usable'> {
  if (api === 'null') return { kind: 'cpu', refused: 'it computes nothing', usable: false };
  if (!adapter) return { kind: 'cpu', refused: 'its driver lacks what WebGPU needs', usable: false };
  const kind = kindOf(adapter.info);
  if (!adapter.features.has('core-features-and-limits' as GPUFeatureName)) {
    return { kind, refused: `${api} has only WebGPU's compatibility mode here`, usable: false };
  }
  if (kind !== 'software-gpu') return { kind, refused: null, usable: true };
  return {
    kind,
    refused: 'it is software, slower than --backend cpu, and taken only when it is asked for',
    usable: true,
  };
}

/** WebGPU does not say whether memory is the adapter's own; vendors that only make integrated GPUs, or mostly, do. */
function kindOf({ vendor, isFallbackAdapter, architecture }: GPUAdapterInfo): DeviceInfo['kind'] {
  if (isFallbackAdapter || architecture === 'software' || architecture === 'swiftshader') return 'software-gpu';
  return vendor === 'nvidia' || vendor === 'amd' ? 'discrete-gpu' : 'integrated-gpu';
}

/** One that can be used has an adapter. */
function choose(found: readonly Found[], wanted: string | undefined): Found {
  const isWanted = ({ index, name, refused }: AdapterEntry) => {
    if (wanted === undefined) return refused === null;
    return /^\d+$/.test(wanted) ? index === Number(wanted) : name.toLowerCase().includes(wanted.toLowerCase());
  };
  const chosen = found.find(({ entry }) => entry.usable && isWanted(entry));
  if (chosen) return chosen;
  const entries = found.map(({ entry }) => entry);
  const expected = wanted === undefined ? 'a hardware adapter' : `an adapter "${wanted}" that can be used`;
  const list = entries.map(
    ({ index, name, api, refused }) => `adapter ${index}, ${name} (${api})${refused ? `: ${refused}` : ''}`,
  );
  throw new NtxError(
    'no-backend',
    `WebGPU: expected ${expected}, found ${list.length === 0 ? 'no adapter' : list.join('; ')}`,
    entries.some(({ usable }) => usable) ? 'choose one with --adapter NAME or NUMBER, or --backend cpu' : DRIVER_ADVICE,
  );
}

async function requestDevice(adapter: GPUAdapter, entry: AdapterEntry, portable: boolean): Promise<GPUDevice> {
  const limits = portable ? LIMITS.filter((name) => name.startsWith('min')) : LIMITS;
  const requiredLimits = Object.fromEntries(limits.map((name) => [name, adapter.limits[name] as number]));
  const requiredFeatures = portable ? [] : FEATURES.filter((feature) => adapter.features.has(feature));
  try {
    return await adapter.requestDevice({ label: 'ntx', requiredLimits, requiredFeatures });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NtxError(
      'no-backend',
      `${entry.name} gives no device: ${reason}`,
      'choose another --adapter or --backend cpu',
      {
        cause: error,
      },
    );
  }
}

function factsOf(gpu: GPU, adapter: GPUAdapter, device: GPUDevice): DeviceFacts {
  const { info } = adapter;
  const has = (feature: string) => device.features.has(feature as GPUFeatureName);
  const subgroups = has('subgroups');
  return {
    limits: device.limits,
    subgroups,
    subgroupMinSize: subgroups ? (info.subgroupMinSize ?? 0) : 0,
    subgroupMaxSize: subgroups ? (info.subgroupMaxSize ?? 0) : 0,
    packedDot: gpu.wgslLanguageFeatures.has('packed_4x8_integer_dot_product'),
    vendor: info.vendor,
  };
}
