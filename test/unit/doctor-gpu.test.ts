import { describe, expect, test } from 'vitest';
import type { AdapterEntry } from '../../src/backend/webgpu/adapter.js';
import { type GpuFacts, gpuFindings } from '../../src/cli/doctor-gpu.js';
import { NtxError } from '../../src/errors.js';

const NOTHING: GpuFacts = { platform: 'linux', nvidiaDriver: null, vulkanLoader: null, mayHaveGpu: false };
const LOADER = '/usr/lib/libvulkan.so.1';

const adapter = (index: number, name: string, refused: string | null): AdapterEntry => ({
  ...{ index, name, api: 'vulkan', kind: 'discrete-gpu', refused, usable: true },
});
const GPU = adapter(0, 'A GPU', null);
const SOFTWARE = adapter(1, 'llvmpipe', 'it is software');

/** "state name: found", and the advice of what is missing. */
function told(adapters: readonly AdapterEntry[] | NtxError, facts: Partial<GpuFacts>): string[] {
  return gpuFindings(adapters, { ...NOTHING, ...facts }).map(({ state, name, found, advice }) => {
    expect(advice !== undefined, name).toBe(state === 'missing');
    return `${state} ${name.trim()}: ${found}${advice ? `; ${advice}` : ''}`;
  });
}

describe('what doctor says of GPUs', () => {
  test('an adapter that is taken, and why another is not', () => {
    const facts = { nvidiaDriver: '580.1', vulkanLoader: LOADER, mayHaveGpu: true };
    expect(told([GPU, SOFTWARE], facts)).toEqual([
      'ok NVIDIA driver: 580.1',
      `ok Vulkan loader: ${LOADER}`,
      'ok webgpu backend: ready, on adapter 0',
      'ok adapter 0: A GPU (vulkan)',
      'note adapter 1: llvmpipe (vulkan): it is software',
    ]);
  });

  test('a machine without a GPU lacks nothing', () => {
    expect(told([], {})).toEqual([
      'note Vulkan loader: none; a GPU would need one',
      'note webgpu backend: this machine has no GPU',
    ]);
    expect(told([SOFTWARE], { vulkanLoader: LOADER }).map((line) => line.split(' ')[0])).toEqual([
      'ok',
      'note',
      'note',
    ]);
  });

  test.each([
    ['no loader', { mayHaveGpu: true }, /missing Vulkan loader: .*; install it .*libvulkan1/],
    ['no driver', { mayHaveGpu: true, vulkanLoader: LOADER }, /missing webgpu backend: .*; .*mesa-vulkan-drivers/],
    [
      'NVIDIA without its Vulkan part',
      { mayHaveGpu: true, vulkanLoader: LOADER, nvidiaDriver: '580.1' },
      /missing webgpu backend: .*; .*NVIDIA_DRIVER_CAPABILITIES=all/,
    ],
    ['another system', { mayHaveGpu: true, platform: 'win32' as const }, /missing webgpu backend: .*; update/],
  ])('a GPU that is not found: %s', (_, facts, line) => {
    const lines = told([], facts);
    expect(lines.filter((each) => each.startsWith('missing'))).toHaveLength(1);
    expect(lines.join('\n')).toMatch(line);
  });

  test('a package that does not load', () => {
    const failure = new NtxError('no-backend', 'the webgpu package does not load here', 'run "npm install" again');
    expect(told(failure, {})).toEqual([
      'missing webgpu backend: the webgpu package does not load here; run "npm install" again',
    ]);
  });
});
