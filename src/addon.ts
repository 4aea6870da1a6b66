// Where native addons lie: what was built on this machine, else what the package brought. Loaded by binding.ts files alone.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Of native/flags.json. */
export type AddonName = 'ntx_host' | 'ntx_cuda' | 'ntx_vfio';

/** An addon, or the reason why there is none. */
export type LoadedAddon<Addon> = { readonly addon: Addon } | { readonly addon: null; readonly reason: string };

/** The package's folder, of src/ and of dist/. */
const PACKAGE = resolve(fileURLToPath(new URL('..', import.meta.url)));

/** What builds the addons, for advice. */
export const BUILD_ADDONS = `run "npm run build:native" in ${PACKAGE}`;

/**
 * Files that may be the addon, best first. A build of this machine comes first: the install step makes one only where the
 * binary of the package does not load, and whoever makes one by hand wants it.
 */
function candidates(name: AddonName, folder: string): string[] {
  return [
    join(folder, 'build/Release', `${name}.node`),
    join(folder, 'prebuilds', `${process.platform}-${process.arch}`, `${name}.node`),
  ];
}

/** The first file of an addon that loads, or why none does. */
export function loadAddon<Addon>(name: AddonName, folder = PACKAGE): LoadedAddon<Addon> {
  const found = candidates(name, folder).filter((path) => existsSync(path));
  const reasons: string[] = [];
  for (const path of found) {
    try {
      return { addon: createRequire(import.meta.url)(path) as Addon };
    } catch (error) {
      reasons.push(`${path} cannot be loaded: ${(error as Error).message}`);
    }
  }
  if (reasons.length > 0) return { addon: null, reason: reasons.join('; ') };
  const binary = `the package brought no binary for ${process.platform}-${process.arch}`;
  return { addon: null, reason: `${name} has not been built on this machine, and ${binary}` };
}
