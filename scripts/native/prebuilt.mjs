// Addons that a package brings: prebuilds/<platform>-<arch>/<name>.node, as prebuildify lays them out, with the hash of the
// sources that they were built from beside them, so that a changed checkout builds its own.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, runProgram } from './environment.mjs';
import { built, sourcesHash } from './state.mjs';

const here = `${process.platform}-${process.arch}`;

/** Whether the package's binary is of these sources and loads here: in a process of its own, which it may take down. */
export async function prebuiltLoads(name, addon) {
  const file = join(root, 'prebuilds', here, `${name}.node`);
  const hash = join(root, 'prebuilds', here, `${name}.hash`);
  if (!existsSync(file) || !existsSync(hash)) return false;
  if (readFileSync(hash, 'utf8') !== sourcesHash(name, addon)) return false;
  const { status } = await runProgram(process.execPath, ['-e', `require(${JSON.stringify(file)})`]);
  return status === 0;
}

/** Copies what was built here into `folder`/<platform>-<arch>; the file's path, or null where nothing was built. */
export function copyPrebuilt(name, addon, folder) {
  const from = built(name);
  if (!existsSync(from)) return null;
  mkdirSync(join(folder, here), { recursive: true });
  const to = join(folder, here, `${name}.node`);
  copyFileSync(from, to);
  writeFileSync(join(folder, here, `${name}.hash`), sourcesHash(name, addon));
  return to;
}
