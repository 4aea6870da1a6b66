// What an emulated machine with an NVMe drive behind an IOMMU needs: QEMU, a kernel with VFIO, busybox. From Debian's packages,
// into build/guest, without root.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackPackages } from '../apt.mjs';
import { root } from '../native/environment.mjs';

export const GUEST = join(root, 'build/guest');

/** The cloud kernel has VFIO as modules, and nvme, ext4 and virtio's console built in, at a third of the other's size. */
const PACKAGES = {
  qemu: ['qemu-system-x86', 'busybox-static'],
  kernel: ['linux-image-cloud-amd64'],
  'no-iommu': ['linux-image-cloud-amd64', 'linux-headers-cloud-amd64', 'linux-source'],
};
/** QEMU 7.2 and Linux 6.1 of Debian 12 are older than what this was tried with. */
const BACKPORTS = ['bookworm'];

/** A field of /etc/os-release: "debian", "bookworm". */
function release(field) {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return new RegExp(`^${field}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? '';
}

/** The packages of a part, unpacked; the folder that stands for `/`. */
export function unpacked(part) {
  const codename = release('VERSION_CODENAME');
  const folder = join(GUEST, part);
  const done = join(folder, 'done');
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true });
    console.error(`ntx: getting ${PACKAGES[part].join(', ')} into ${folder}`);
    const suite = BACKPORTS.includes(codename) ? `${codename}-backports` : null;
    unpackPackages(PACKAGES[part], folder, codename, suite);
    rmSync(join(folder, 'apt'), { recursive: true, force: true });
    writeFileSync(done, '');
  }
  return join(folder, 'root');
}

function foldersWith(top, pattern) {
  const files = readdirSync(top, { recursive: true, withFileTypes: true }).filter((entry) => pattern.test(entry.name));
  return [...new Set(files.map((entry) => entry.parentPath ?? entry.path))];
}

/** Why there can be no emulated machine on this computer; null: nothing is known that stands in its way. */
export function guestObstacle() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `the emulated machine is for Linux on x64; this is ${process.platform} on ${process.arch}`;
  }
  if (release('ID') !== 'debian') {
    return `its kernel is Debian's, out of the packages of this system, and this is ${release('PRETTY_NAME') || 'another'}`;
  }
  const has = (command) =>
    ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].some((folder) => existsSync(join(folder, command)));
  if (!has('mkfs.ext4')) return 'there is no mkfs.ext4 (package e2fsprogs)';
  return null;
}

/** The kernel of a folder that stands for `/`. */
export function kernelIn(system) {
  const [version] = readdirSync(join(system, 'lib/modules'));
  return { kernel: join(system, 'boot', `vmlinuz-${version}`), modules: join(system, 'lib/modules', version) };
}

/**
 * Where the parts lie. Throws an Error with the reason where they cannot be had.
 * @returns {{ qemu: string, libraries: string, firmware: string, busybox: string, kernel: string, modules: string }}
 */
export function guestParts() {
  const obstacle = guestObstacle();
  if (obstacle !== null) throw new Error(obstacle);
  const emulator = unpacked('qemu');
  return {
    qemu: join(emulator, 'usr/bin/qemu-system-x86_64'),
    libraries: foldersWith(emulator, /\.so(\.\d+)*$/).join(':'),
    firmware: [
      join(emulator, 'usr/share/qemu'),
      join(emulator, 'usr/share/seabios'),
      join(emulator, 'usr/lib/ipxe/qemu'),
    ].join(':'),
    busybox: [join(emulator, 'bin/busybox'), join(emulator, 'usr/bin/busybox')].find(existsSync),
    ...kernelIn(unpacked('kernel')),
  };
}
