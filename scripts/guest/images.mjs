// What the emulated machine boots and runs: an initramfs with modules and an agent, and a disk with node and ntx.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../native/environment.mjs';
import { GUEST } from './parts.mjs';

/** In the order of their need. */
const MODULES = ['virtio_blk', 'irqbypass', 'vfio', 'vfio_iommu_type1', 'vfio-pci-core', 'vfio-pci'];
/** What the CLI loads beside ntx itself; the packages behind them follow from their manifests. */
const DEPENDENCIES = ['commander', 'picocolors', 'pretty-bytes', 'cli-progress', '@huggingface/jinja'];
const PAYLOAD_MIB = 220;

/**
 * The agent takes lines of base64 from a virtio port, runs what they hold in a shell inside of the payload, and sends back its
 * output and a line with its exit status. Of a command that takes a minute, the console tells what its threads wait for.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /payload
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
for module in ${MODULES.map((name) => name.replaceAll('-', '_')).join(' ')}; do insmod /modules/$module.ko || echo "no $module"; done
echo \${HUGE:-0} > /proc/sys/vm/nr_hugepages
mount -t ext4 -o ro,noload /dev/vda /payload || echo "no payload"
for each in proc sys dev; do mount -o bind /$each /payload/$each; done
mount -t tmpfs tmp /payload/tmp
mount -t tmpfs run /payload/run
ip link set lo up
port=/dev/vport0p1
for each in /sys/class/virtio-ports/*; do [ "$(cat $each/name)" = agent ] && port=/dev/\${each##*/}; done
tasks() {
  for each in /proc/[0-9]*/task/*; do
    [ -s $each/cmdline ] && echo "$(cat $each/comm): $(cat $each/wchan) $(cat $each/syscall)"
  done
}
exec 3<>$port
echo "@ready" >&3
while read -r line <&3; do
  echo "$line" | base64 -d > /payload/tmp/command
  (sleep 60; echo "still running:"; tasks) > /dev/console 2>&1 & watch=$!
  chroot /payload /bin/sh /tmp/command < /dev/null >&3 2>&1
  echo "@status $?" >&3
  kill $watch 2> /dev/null
done
poweroff -f
`;

function findFile(folder, name) {
  return readdirSync(folder, { recursive: true })
    .map((path) => join(folder, path))
    .find((path) => path.endsWith(`/${name}`));
}

/** Builds the initramfs once for a kernel, modules that were built anew, and an init; returns its path. */
export function buildInitramfs({ busybox, modules, rebuilt = {} }) {
  const tree = join(GUEST, ['initramfs', ...Object.keys(rebuilt)].join('-'));
  const image = `${tree}.img`;
  const stamp = `${tree}.stamp`;
  const key = `${modules}\n${INIT}`;
  if (existsSync(image) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return image;
  rmSync(tree, { recursive: true, force: true });
  for (const folder of ['bin', 'modules']) mkdirSync(join(tree, folder), { recursive: true });
  copyFileSync(busybox, join(tree, 'bin/busybox'));
  writeFileSync(join(tree, 'init'), INIT);
  chmodSync(join(tree, 'init'), 0o755);
  for (const name of MODULES) {
    writeFileSync(
      join(tree, 'modules', `${name.replaceAll('-', '_')}.ko`),
      rebuilt[name] ? readFileSync(rebuilt[name]) : unpackModule(busybox, findFile(modules, `${name}.ko.xz`)),
    );
  }
  const command = `cd '${tree}' && '${busybox}' find . | '${busybox}' cpio -o -H newc > '${image}' 2>/dev/null`;
  execFileSync(busybox, ['sh', '-c', command]);
  writeFileSync(stamp, key);
  return image;
}

function unpackModule(busybox, path) {
  return execFileSync(busybox, ['unxz', '-c'], { input: readFileSync(path), maxBuffer: 64 << 20 });
}

/** Makes an ext4 image of `mib` MiB that holds a folder, `offset` bytes into the file. */
export function makeExt4(image, folder, mib, offset = 0) {
  rmSync(image, { force: true });
  const args = ['-q', '-F', '-E', `offset=${offset},lazy_itable_init=0,root_owner=0:0`, '-d', folder, image, `${mib}M`];
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  const { status, stderr, error } = spawnSync('mkfs.ext4', args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`mkfs.ext4 failed: ${error?.message ?? stderr}`);
}

/** node with its libraries, at the paths that it looks for them. */
function copyNode(tree) {
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  copyFileSync(process.execPath, join(tree, 'usr/bin/node'));
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  for (const [path] of libraries.matchAll(/\/\S+/g)) {
    mkdirSync(join(tree, dirname(path)), { recursive: true });
    copyFileSync(path, join(tree, path));
  }
}

/** Packages and what they need, from node_modules of the checkout. */
function copyPackages(tree) {
  const waiting = [...DEPENDENCIES];
  const seen = new Set();
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const folder = join(root, 'node_modules', name);
    cpSync(folder, join(tree, 'ntx/node_modules', name), { recursive: true });
    waiting.push(...Object.keys(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).dependencies ?? {}));
  }
}

/** Builds the disk with node, busybox, ntx as it was built (dist/, addons) and the scripts of `scripts`; returns its path. */
export function buildPayload({ busybox }, scripts) {
  const tree = join(GUEST, 'payload');
  rmSync(tree, { recursive: true, force: true });
  for (const folder of ['bin', 'proc', 'sys', 'dev', 'tmp', 'run', 'mnt', 'ntx/build/Release']) {
    mkdirSync(join(tree, folder), { recursive: true });
  }
  copyFileSync(busybox, join(tree, 'bin/busybox'));
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(tree, 'bin', applet));
  copyNode(tree);
  copyPackages(tree);
  copyFileSync(join(root, 'package.json'), join(tree, 'ntx/package.json'));
  cpSync(join(root, 'dist'), join(tree, 'ntx/dist'), { recursive: true });
  for (const addon of ['ntx_host', 'ntx_vfio']) {
    const name = `build/Release/${addon}.node`;
    if (existsSync(join(root, name))) copyFileSync(join(root, name), join(tree, 'ntx', name));
  }
  cpSync(scripts, join(tree, 'ntx/guest'), { recursive: true });
  const image = join(GUEST, 'payload.img');
  makeExt4(image, tree, PAYLOAD_MIB);
  return image;
}
