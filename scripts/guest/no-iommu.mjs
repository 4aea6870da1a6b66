// A kernel that drives devices without an IOMMU: Debian's is built without CONFIG_VFIO_NOIOMMU, all of which lies in the module
// vfio. It is built anew with that option, from the source and headers of the very kernel.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GUEST, guestParts, kernelIn, unpacked } from './parts.mjs';

const SOURCES = 'drivers/vfio';
const KBUILD = `obj-m := vfio.o
vfio-y := vfio_main.o group.o container.o virqfd.o
ccflags-y := -DCONFIG_VFIO_NOIOMMU=1
`;

/** As guestParts(), of that kernel. Throws an Error with the reason where it cannot be had. */
export function noIommuParts() {
  const system = unpacked('no-iommu');
  const parts = { ...guestParts(), ...kernelIn(system) };
  const folder = join(GUEST, 'no-iommu/vfio');
  const module = join(folder, 'vfio.ko');
  const sources = join(system, 'usr/src');
  if (!existsSync(module)) {
    extractSources(sources, folder);
    buildModule(headersIn(sources), folder);
  }
  return { ...parts, rebuilt: { vfio: module } };
}

function headersIn(sources) {
  const names = readdirSync(sources).filter((name) => name.startsWith('linux-headers-'));
  const common = names.find((name) => name.endsWith('-common'));
  const headers = join(
    sources,
    names.find((name) => name.endsWith('-cloud-amd64')),
  );
  // The package's own names the common headers where a package manager puts them.
  writeFileSync(join(headers, 'Makefile'), `include ${join(sources, common)}/Makefile\n`);
  return headers;
}

function extractSources(sources, folder) {
  const archive = readdirSync(sources).find((name) => /^linux-source-.*\.tar\.xz$/.test(name));
  const top = archive.replace('.tar.xz', '');
  execFileSync('tar', ['-xJf', join(sources, archive), '-C', sources, `${top}/${SOURCES}`]);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(join(sources, top, SOURCES))) {
    if (/\.[ch]$/.test(name)) cpSync(join(sources, top, SOURCES, name), join(folder, name));
  }
}

function buildModule(headers, folder) {
  writeFileSync(join(folder, 'Kbuild'), KBUILD);
  // The kernel's compiler has a name of its own; types for BPF would need pahole.
  const choices = ['CC=gcc', 'CROSS_COMPILE=', 'CONFIG_DEBUG_INFO_BTF_MODULES='];
  const args = ['-s', '-C', headers, `M=${folder}`, ...choices, 'modules'];
  const { status, stderr, error } = spawnSync('make', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`building the module vfio failed: ${error?.message ?? stderr}`);
}
