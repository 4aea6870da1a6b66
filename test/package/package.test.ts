import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { Installed, pack, withoutCompilers } from './installed.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ntx-package-'));
const archive = pack(folder);
const bare = withoutCompilers(folder);
const installed: Installed[] = [];

afterAll(() => {
  for (const each of [folder, ...installed.map((one) => one.folder)]) rmSync(each, { recursive: true, force: true });
});

function unpack(): Installed {
  const one = new Installed(archive);
  installed.push(one);
  return one;
}

const STORY = ['ntx', 'run', '-n', '4', '--seed', '1'];
const platform = `${process.platform}-${process.arch}`;

describe('the package, installed elsewhere', () => {
  const here = unpack();

  test('holds what runs and what builds, and nothing else', () => {
    const files = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trimEnd().split('\n');
    const folders = new Set(files.map((file) => file.split('/')[1]));
    for (const name of ['dist', 'kernels', 'models', 'machines', 'native', 'LICENSE', 'THIRD_PARTY.md', 'README.md']) {
      expect(folders).toContain(name);
    }
    for (const name of ['src', 'test', 'bench', 'planner', 'build', 'node_modules'])
      expect(folders).not.toContain(name);
    expect(files).toContain('package/dist/planner.wasm');
    expect(files.filter((file) => /\.map$|\/dist\/.*\.ts$/.test(file) && !file.endsWith('.d.ts'))).toEqual([]);
  });

  test('is built by its install script, and tells a story', () => {
    expect(here.install()).toMatch(/ntx_host (built in|is as another checkout built it)/);
    expect(here.run('npx', ['ntx', 'run', '--help'])).toMatchObject({
      status: 0,
      output: expect.stringContaining('Usage: ntx run'),
    });
    const { status, output } = here.run('npx', STORY);
    expect(output).toMatch(/ 4 tokens, [\d.]+ tok\/s/);
    expect(output).not.toContain('reference');
    expect(status).toBe(0);
  });

  test('is a library of ES modules', () => {
    const code = "import { loadModel } from 'ntx'; console.log(typeof loadModel)";
    expect(here.run(process.execPath, ['--input-type=module', '-e', code]).output.trim()).toBe('function');
    const json = "import about from 'ntx/package.json' with { type: 'json' }; console.log(about.name)";
    expect(here.run(process.execPath, ['--no-warnings', '--input-type=module', '-e', json]).output.trim()).toBe('ntx');
    const inside = here.run(process.execPath, ['--input-type=module', '-e', "import 'ntx/dist/engine.js'"]);
    expect(inside.output).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  test.each([
    ['NodeNext', 'NodeNext'],
    ['ESNext', 'bundler'],
  ])('has types for programs of module %s with resolution %s', (module, moduleResolution) => {
    here.write('consumer.ts', CONSUMER);
    // Declarations are checked as well: they may not need what the package does not bring.
    const compilerOptions = { module, moduleResolution, ...STRICT };
    here.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    expect(here.run(process.execPath, [tsc, '-p', '.'])).toEqual({ status: 0, output: '' });
  });
});

const STRICT = {
  target: 'ES2022',
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  noEmit: true,
  typeRoots: [join(root, 'node_modules/@types')],
  types: ['node'],
};

const CONSUMER = `
import { type GenerateOptions, loadModel, NtxError, type Piece } from 'ntx';
export const model = await loadModel('model.gguf', { backend: 'cpu', context: 512 });
const options: GenerateOptions = { maxTokens: 4, seed: 7, signal: new AbortController().signal };
try {
  for await (const piece of model.generate('Once', options)) {
    const { text }: Piece = piece;
    process.stdout.write(text);
  }
} catch (error) {
  if (error instanceof NtxError) console.error(error.code, error.message, error.advice);
}
await model.dispose();
// @ts-expect-error: it is a number.
export const wrong: string = model.context;
`;

describe('binaries that the package brings', () => {
  const binaries = join(folder, 'prebuilds');
  execFileSync(process.execPath, [join(root, 'scripts/prebuild.mjs'), binaries, 'ntx_host', 'ntx_vfio'], {
    stdio: 'pipe',
  });

  function bring(one: Installed): void {
    cpSync(binaries, one.prebuilds, { recursive: true });
  }

  test('are taken where there is no compiler, and where install scripts do not run', () => {
    const one = unpack();
    bring(one);
    const { output } = one.run(process.execPath, ['node_modules/ntx/dist/main.js', 'run', '-n', '4'], bare);
    expect(output).toMatch(/ 4 tokens/);
    expect(output).not.toContain('reference');
    expect(one.install(bare)).toMatch(/ntx_host came with the package/);
    expect(readdirSync(one.package)).not.toContain('build');
  });

  test('are replaced by a build where they do not load', () => {
    const one = unpack();
    bring(one);
    writeFileSync(join(one.prebuilds, platform, 'ntx_host.node'), 'no binary');
    expect(one.install(bare)).toMatch(/ntx_host is not built: no C\+\+ compiler was found/);
    const broken = one.run('npx', [...STORY, '--backend', 'cpu'], bare);
    expect(broken.status).toBe(2);
    expect(broken.output).toMatch(/ntx_host\.node cannot be loaded: .*\nRun "npm run build:native" in \//);
    expect(one.install()).toMatch(/ntx_host (built in|is as another checkout built it)/);
    expect(one.run('npx', [...STORY, '--backend', 'cpu'])).toMatchObject({ status: 0 });
  });

  test('of other sources are not taken by the install', () => {
    const one = unpack();
    bring(one);
    writeFileSync(join(one.prebuilds, platform, 'ntx_host.hash'), 'of other sources');
    expect(one.install()).toMatch(/ntx_host (built in|is as another checkout built it)/);
  });
});

test('without a binary and a compiler the reference backend tells the story, and says so', () => {
  const one = unpack();
  expect(one.install(bare)).toMatch(
    /ntx_host is not built: no C\+\+ compiler was found; .*reference backend still works/,
  );
  const { status, output } = one.run('npx', STORY, bare);
  expect(status).toBe(0);
  expect(output).toContain('ntx: the slow reference backend computes');
  expect(output).toMatch(/ 4 tokens/);
});
