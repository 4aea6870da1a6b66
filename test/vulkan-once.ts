// Global setup of the tests that need a WebGPU device: a software one, unless NTX_TEST_ADAPTER names another, or
// VK_DRIVER_FILES a driver.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../scripts/software-vulkan.mjs', import.meta.url));

export default function vulkanOnce(): void {
  const { NTX_TEST_SKIP_WEBGPU, NTX_TEST_ADAPTER, VK_DRIVER_FILES } = process.env;
  if (NTX_TEST_SKIP_WEBGPU === '1' || NTX_TEST_ADAPTER !== undefined || VK_DRIVER_FILES !== undefined) return;
  const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  // Drivers are looked for by the workers, which get this environment when they start.
  for (const [, name, value] of stdout.matchAll(/^export (\w+)='(.*)'$/gm)) process.env[name] = value;
  // Where there is hardware it serves as well; where nothing is, the tests fail with this.
  process.env.NTX_TEST_VULKAN_PROBLEM = stderr.trim();
}
