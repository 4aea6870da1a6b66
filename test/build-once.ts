// Global setup of the tests that run the program: compiles src/ into dist/ when something there is newer.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

export default function buildOnce(): void {
  const built = `${root}dist/main.js`;
  const inputs = ['package.json', 'tsconfig.json', 'tsconfig.build.json'].map((name) => `${root}${name}`);
  for (const entry of readdirSync(`${root}src`, { recursive: true })) inputs.push(`${root}src/${entry}`);
  const newest = Math.max(...inputs.map((path) => statSync(path).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs >= newest) return;
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const args = [tsc, '-p', 'tsconfig.build.json'];
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`building dist/ for the tests failed:\n${stdout}`);
}
