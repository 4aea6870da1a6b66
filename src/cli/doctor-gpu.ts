// What `ntx doctor` says of GPUs.
import { type AdapterEntry, mayHaveGpu } from '../backend/webgpu/adapter.js';
import { NtxError } from '../errors.js';
import { findNvidiaDriver } from '../placement/system.js';
import type { Finding } from './finding.js';
import { findVulkanLoader } from './machine.js';

/** What the machine has beside its adapters. */
export interface GpuFacts {
  readonly platform: NodeJS.Platform;
  /** Version of the loaded driver. */
  readonly nvidiaDriver: string | null;
  readonly vulkanLoader: string | null;
  /** There are devices that only GPUs have. */
  readonly mayHaveGpu: boolean;
}

const LOADER_ADVICE = 'install it (Debian, Ubuntu: apt-get install libvulkan1; Fedora: dnf install vulkan-loader)';
const NVIDIA_ADVICE =
  "install the driver's Vulkan part (Debian, Ubuntu: libnvidia-gl or nvidia-vulkan-icd, of the driver's version); " +
  'a container needs NVIDIA_DRIVER_CAPABILITIES=all';
const MESA_ADVICE =
  'install its Vulkan driver (Debian, Ubuntu: apt-get install mesa-vulkan-drivers; Fedora: dnf install mesa-vulkan-drivers)';

/** @param adapters what listAdapters() found, or why it could not look */
export function gpuFindings(
  adapters: readonly AdapterEntry[] | NtxError,
  facts: GpuFacts = {
    platform: process.platform,
    nvidiaDriver: findNvidiaDriver(),
    vulkanLoader: findVulkanLoader(),
    mayHaveGpu: mayHaveGpu(),
  },
): Finding[] {
  const driver: Finding[] =
    facts.nvidiaDriver === null ? [] : [{ name: 'NVIDIA driver', state: 'ok', found: facts.nvidiaDriver }];
  if (adapters instanceof NtxError) {
    const { message: found, advice } = adapters;
    return [...driver, { name: 'webgpu backend', state: 'missing', found, advice }];
  }
  return [
    ...driver,
    ...(facts.platform === 'linux' ? [vulkan(facts)] : []),
    backend(adapters, facts),
    ...adapters.map(adapterFinding),
  ];
}

function vulkan({ vulkanLoader, mayHaveGpu }: GpuFacts): Finding {
  const name = 'Vulkan loader';
  if (vulkanLoader !== null) return { name, state: 'ok', found: vulkanLoader };
  if (!mayHaveGpu) return { name, state: 'note', found: 'none; a GPU would need one' };
  return { name, state: 'missing', found: 'none, so that no GPU is found', advice: LOADER_ADVICE };
}

function backend(adapters: readonly AdapterEntry[], facts: GpuFacts): Finding {
  const name = 'webgpu backend';
  const taken = adapters.find(({ refused }) => refused === null);
  if (taken) return { name, state: 'ok', found: `ready, on adapter ${taken.index}` };
  if (!facts.mayHaveGpu) return { name, state: 'note', found: 'this machine has no GPU' };
  const found = 'there is a GPU, and WebGPU finds none that it can use';
  // Without a loader nothing else would help; its own line says so.
  if (facts.platform === 'linux' && facts.vulkanLoader === null) return { name, state: 'note', found };
  const advice = facts.nvidiaDriver === null ? MESA_ADVICE : NVIDIA_ADVICE;
  return { name, state: 'missing', found, advice: facts.platform === 'linux' ? advice : "update the GPU's driver" };
}

function adapterFinding({ index, name, api, refused }: AdapterEntry): Finding {
  const found = `${name} (${api})${refused === null ? '' : `: ${refused}`}`;
  return { name: `  adapter ${index}`, state: refused === null ? 'ok' : 'note', found };
}
