import { defineConfig } from 'vitest/config';
import { findCompiler } from './src/cli/machine.js';
import { addonsAreBuilt } from './test/addons-once.js';

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

const BUILT = 'test/build-once.ts';
const ADDONS = 'test/addons-once.ts';

/** What a machine without a compiler cannot check. With one, addons that are missing are a failure. */
const withAddons = () => [
  withSetup(project('native', ['test/native/**/*.test.ts'], 60_000), ADDONS),
  without(withSetup(project('model', ['test/model/**/*.test.ts'], 300_000), ADDONS, BUILT), GPU),
  withSetup(project('package', ['test/package/**/*.test.ts'], 300_000), ADDONS, BUILT),
  inTurn(withSetup(project('nvme', ['test/nvme/**/*.test.ts'], 180_000), ADDONS, BUILT, 'test/nvme-once.ts')),
];

const hasAddons = addonsAreBuilt() || findCompiler() !== null;
if (!hasAddons) {
  console.error(
    'ntx: there is no C++ compiler here: all tests of what it builds (the projects native, model, package and nvme,',
  );
  console.error('ntx: and the kernels of the cpu backend) are left out');
}

export default defineConfig({
  test: {
    projects: [
      project('unit', ['test/unit/**/*.test.ts']),
      without(project('kernels', ['test/kernels/**/*.test.ts'], 120_000), [
        ...GPU,
        ...(hasAddons ? [] : ['test/kernels/cpu.test.ts']),
      ]),
      ...(hasAddons ? withAddons() : []),
      withSetup(project('cuda', CUDA, 120_000), BUILT),
      withSetup(project('webgpu', WEBGPU, 300_000), BUILT, 'test/vulkan-once.ts'),
    ],
  },
});
