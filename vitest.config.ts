import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], testTimeout = 20_000) => ({ test: { name, include, testTimeout } });

const WEBGPU = ['test/kernels/webgpu*.test.ts', 'test/model/webgpu*.test.ts'];
/** They need an NVIDIA GPU: "npm test" leaves this project out. */
const CUDA = ['test/kernels/cuda*.test.ts', 'test/model/cuda*.test.ts'];
const GPU = [...WEBGPU, ...CUDA];

/** Tests of a project that need something made before them: dist/main.js, a Vulkan driver. */
const withSetup = ({ test }: ReturnType<typeof project>, ...globalSetup: string[]) => ({
  test: { ...test, globalSetup },
});

const without = ({ test }: ReturnType<typeof project>, exclude: string[]) => ({ test: { ...test, exclude } });

/** Files one after the other: each has an emulated machine. */
const inTurn = ({ test }: ReturnType<typeof withSetup>) => ({ test: { ...test, fileParallelism: false } });

export default defineConfig({
  test: {
    projects: [
      project('unit', ['test/unit/**/*.test.ts']),
      without(project('kernels', ['test/kernels/**/*.test.ts'], 120_000), GPU),
      project('native', ['test/native/**/*.test.ts'], 60_000),
      without(withSetup(project('model', ['test/model/**/*.test.ts'], 300_000), 'test/build-once.ts'), GPU),
      withSetup(project('package', ['test/package/**/*.test.ts'], 300_000), 'test/build-once.ts'),
      inTurn(withSetup(project('nvme', ['test/nvme/**/*.test.ts'], 180_000), 'test/build-once.ts')),
      withSetup(project('cuda', CUDA, 120_000), 'test/build-once.ts'),
      withSetup(project('webgpu', WEBGPU, 300_000), 'test/build-once.ts', 'test/vulkan-once.ts'),
    ],
  },
});
