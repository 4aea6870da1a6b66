// node-llama-cpp beside the project: it is no dependency of ntx, and several hundred MB with its CUDA binaries. It is installed
// once, into the user's cache folder.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const VERSION = '3.22.1';

const platform = () => ({ linux: 'linux', darwin: 'mac', win32: 'win' })[process.platform];

/**
 * The URL of the package's entry; installs it where it is not there. Throws a sentence where the registry cannot be reached.
 * @param {boolean} withCuda binaries for CUDA too
 */
export function llamaPackage(withCuda) {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'ntx', `node-llama-cpp-${VERSION}${withCuda ? '-cuda' : ''}`);
  const entry = join(folder, 'node_modules/node-llama-cpp/dist/index.js');
  if (!existsSync(join(folder, 'complete'))) install(folder, withCuda);
  return pathToFileURL(entry).href;
}

function install(folder, withCuda) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  const binaries = `@node-llama-cpp/${platform()}-${process.arch}`;
  // Of the optional packages with binaries of every kind of GPU, those that are asked for.
  const wanted = ['node-llama-cpp', ...(withCuda ? [`${binaries}-cuda`, `${binaries}-cuda-ext`] : [binaries])];
  const packages = wanted.map((name) => `${name}@${VERSION}`);
  console.log(`installing ${packages.join(', ')} into ${folder}`);
  const flags = ['--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=0'];
  const { status, stderr, error } = spawnSync('npm', ['install', ...flags, ...packages], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status === 0) {
    writeFileSync(join(folder, 'complete'), '');
    return;
  }
  const lines = (stderr ?? String(error)).split('\n').filter((line) => /npm error/.test(line));
  const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|network/.test(stderr ?? '');
  throw new Error(
    offline
      ? `node-llama-cpp ${VERSION} is not in ${folder}, and npm's registry cannot be reached from here: run this once where it ` +
          `can, and copy that folder to ~/.cache/ntx of this machine`
      : `npm could not install node-llama-cpp ${VERSION} into ${folder}:\n${lines.slice(0, 4).join('\n')}`,
  );
}
