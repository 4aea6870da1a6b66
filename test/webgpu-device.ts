// The WebGPU device of the tests.
import type { AdapterOptions } from '../src/backend/webgpu/adapter.js';
import { createWebGpuBackend, type WebGpuBackend } from '../src/backend/webgpu/webgpu.js';
import { NtxError } from '../src/errors.js';

export const SKIP_WEBGPU = process.env.NTX_TEST_SKIP_WEBGPU === '1';
if (SKIP_WEBGPU) console.warn('WebGPU tests skipped: NTX_TEST_SKIP_WEBGPU=1 is set, so its kernels stay untested');

/** A name or a number, as --adapter takes it. test/vulkan-once.ts has hidden all but a software adapter without one. */
export const TEST_ADAPTER = process.env.NTX_TEST_ADAPTER ?? '0';

/** Fails, with what to do, where there is no device: silence would look like success. */
export async function onTestDevice<T>(open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof NtxError) || error.code !== 'no-backend') throw error;
    const why = process.env.NTX_TEST_VULKAN_PROBLEM ? `; ${process.env.NTX_TEST_VULKAN_PROBLEM}` : '';
    const advice = 'run "node scripts/software-vulkan.mjs" to see why, or set NTX_TEST_SKIP_WEBGPU=1 to test without';
    throw new Error(`${error.message}${why}; ${advice}`, { cause: error });
  }
}

export function openTestDevice(options: AdapterOptions = {}): Promise<WebGpuBackend> {
  return onTestDevice(() => createWebGpuBackend({ adapter: TEST_ADAPTER, ...options }));
}
