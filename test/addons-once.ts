// Global setup of the tests that need the native addons: where they could have been built and are not, nothing else is told.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Whether the addons that every build makes are there. */
export function addonsAreBuilt(): boolean {
  return ['ntx_host', 'ntx_vfio'].every((name) =>
    existsSync(new URL(`../build/Release/${name}.node`, import.meta.url)),
  );
}

export default function addonsOnce(): void {
  if (addonsAreBuilt()) return;
  const folder = fileURLToPath(new URL('..', import.meta.url));
  throw new Error(`the native addons are not built: run "npm run build:native" in ${folder}, which says why`);
}
