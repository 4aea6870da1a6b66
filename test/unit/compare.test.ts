// node-llama-cpp is fetched when somebody compares with it: a machine without a network gets a sentence.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { llamaPackage, VERSION } from '../../bench/compare/install.mjs';

let cache = '';
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'ntx-compare-'));
  vi.stubEnv('XDG_CACHE_HOME', cache);
  vi.spyOn(console, 'log').mockImplementation(() => {});
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(cache, { recursive: true });
});

it('says what to do where the registry cannot be reached, and does not take what is there for complete', () => {
  // Port 9 discards what it gets, where anybody listens at all.
  vi.stubEnv('npm_config_registry', 'http://127.0.0.1:9/');
  const install = () => llamaPackage(false);
  expect(install).toThrow(/registry cannot be reached from here: run this once where it can, and copy that folder/);
  expect(install).toThrow(/registry cannot be reached/);
  expect(existsSync(join(cache, 'ntx', `node-llama-cpp-${VERSION}`, 'complete'))).toBe(false);
}, 60_000);

it('takes what was installed before', () => {
  const folder = join(cache, 'ntx', `node-llama-cpp-${VERSION}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'complete'), '');
  expect(llamaPackage(false)).toMatch(/node-llama-cpp\/dist\/index\.js$/);
});
