// What decoding on WebGPU leaves behind: nothing, pass by pass, and no running process.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { globals } from 'webgpu';
import { type LanguageModel, loadModel } from '../../src/index.js';
import { onTestDevice, SKIP_WEBGPU, TEST_ADAPTER } from '../webgpu-device.js';
import { STORIES } from './files.js';

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href;
/** Short of the position from which on attention takes other kernels, which software compiles then. */
const CONTEXT = 128;
/** Of pools and the collector; a buffer of read-back that is lost in each of 300 passes would be 19 MiB. */
const NOISE = 8 << 20;
/** Starting, loading and compiling take seconds; a process that does not end takes for ever. */
const END_MS = 120_000;

describe.skipIf(SKIP_WEBGPU)('decoding', () => {
  let model: LanguageModel;
  let collect: () => void;

  beforeAll(async () => {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc');
    const options = { backend: 'webgpu', adapter: TEST_ADAPTER, context: CONTEXT } as const;
    model = await onTestDevice(() => loadModel(STORIES, options));
    await decode(200);
  }, 300_000);

  afterAll(() => model?.dispose());

  async function decode(tokens: number): Promise<void> {
    for (let i = 0; i < tokens; i++) {
      if (model.sequence.room === 0) model.sequence.truncate(0);
      await model.sequence.extend([1 + (i % 500)]);
    }
  }

  test('makes nothing on the device', async () => {
    const { GPUDevice } = globals as { GPUDevice: { prototype: GPUDevice } };
    const made = (
      ['createBuffer', 'createBindGroup', 'createShaderModule', 'createComputePipelineAsync', 'createQuerySet'] as const
    ).map((name) => vi.spyOn(GPUDevice.prototype, name));
    const encoders = vi.spyOn(GPUDevice.prototype, 'createCommandEncoder');
    await decode(100);
    expect(made.map((each) => each.mock.calls.length)).toEqual([0, 0, 0, 0, 0]);
    // The spies see what the backend calls.
    expect(encoders.mock.calls.length).toBeGreaterThanOrEqual(100);
    vi.restoreAllMocks();
  });

  test('does not grow with every 300 tokens', async () => {
    const resident = async () => {
      // What Dawn's collected objects hold is freed in later turns of the event loop.
      for (let turn = 0; turn < 2; turn++) {
        collect();
        await sleep(200);
      }
      return process.memoryUsage.rss();
    };
    // A leak grows in every stretch; pools and the collector, also of tests that run beside this one, in some.
    const growths: number[] = [];
    for (let stretch = 0; stretch < 4; stretch++) {
      const before = await resident();
      await decode(300);
      growths.push((await resident()) - before);
    }
    expect(Math.min(...growths)).toBeLessThan(NOISE);
  });
});

describe.skipIf(SKIP_WEBGPU)('a process', () => {
  const code = (end: string) => `
    import { loadModel } from ${JSON.stringify(LIBRARY)};
    const options = { backend: 'webgpu', adapter: ${JSON.stringify(TEST_ADAPTER)}, context: 64 };
    const model = await loadModel(${JSON.stringify(STORIES)}, options);
    for await (const piece of model.generate('Once', { maxTokens: 4, temperature: 0 })) process.stdout.write(piece.text);
    ${end}
    console.log(' | disposed');`;

  /** Its status, or null when it had to be ended, and what it wrote. */
  function run(end: string): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code(end)], { timeout: END_MS });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    return new Promise((resolve, reject) => {
      child.on('error', reject).on('close', (status) => resolve({ status, stdout, stderr }));
    });
  }

  test('ends by itself after dispose()', async () => {
    const { status, stdout, stderr } = await run('await model.dispose();');
    expect(stderr).not.toMatch(/error/i);
    expect(stdout).toMatch(/\S \| disposed\n$/);
    expect(status).toBe(0);
  });

  test('ends by itself when dispose() comes while it generates', async () => {
    const { status, stdout } = await run(`
      const running = model.generate('Once', { maxTokens: 50 });
      await running.next();
      const next = running.next().catch((error) => console.log(' | ' + error.name));
      await model.dispose();
      await next;`);
    expect(stdout).toMatch(/\| disposed\n$/);
    expect(status).toBe(0);
  });
});
