import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], testTimeout = 20_000) => ({ test: { name, include, testTimeout } });

/** Its tests run dist/main.js. */
const withProgram = ({ test }: ReturnType<typeof project>) => ({
  test: { ...test, globalSetup: ['test/build-once.ts'] },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', ['test/unit/**/*.test.ts']),
      project('kernels', ['test/kernels/**/*.test.ts'], 120_000),
      project('native', ['test/native/**/*.test.ts'], 60_000),
      withProgram(project('model', ['test/model/**/*.test.ts'], 300_000)),
    ],
  },
});
