// The whole way in an emulated machine: a model on a file system, its map, and a run that reads it from the drive.
import { closeSync, copyFileSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeExt4 } from '../../scripts/guest/images.mjs';
import { Machine } from '../../scripts/guest/machine.mjs';
import { machineImages, SKIP_NVME } from './images.js';

const MODEL = fileURLToPath(new URL('../../models/fable-5m-q4_k_m.gguf', import.meta.url));
const MIB = 2 ** 20;
const PARTITION_START = MIB;
const PARTITION_MIB = 60;

const DRIVE = '0000:00:05.0';
const OTHER = '0000:00:06.0';
const NTX = 'node /ntx/dist/main.js';
const RUN = '-p "Once upon a time" --seed 7 --temperature 0 --max-tokens 16 --backend cpu -t 2 -c 256';

/** An image with one Linux partition (MBR) that holds an ext4 file system with the model. */
function makeDrive(image: string, folder: string): void {
  const content = join(folder, 'content');
  mkdirSync(content);
  copyFileSync(MODEL, join(content, 'source.gguf'));
  makeExt4(image, content, PARTITION_MIB, PARTITION_START);
  const file = openSync(image, 'r+');
  ftruncateSync(file, PARTITION_START + PARTITION_MIB * MIB);
  const entry = Buffer.alloc(16);
  entry[4] = 0x83;
  entry.writeUInt32LE(PARTITION_START / 512, 8);
  entry.writeUInt32LE((PARTITION_MIB * MIB) / 512, 12);
  writeSync(file, entry, 0, 16, 446);
  writeSync(file, Buffer.from([0x55, 0xaa]), 0, 2, 510);
  closeSync(file);
}

let folder = '';
let machine: Machine;
let partition = '';
let otherPartition = '';

describe.skipIf(SKIP_NVME)('a model on an emulated drive', () => {
  let text = '';

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ntx-nvme-'));
    const image = join(folder, 'drive.img');
    makeDrive(image, folder);
    const drives = ['drive', 'other'].flatMap((name, i) => [
      ...[
        '-blockdev',
        JSON.stringify({ driver: 'file', 'node-name': name, filename: image, 'read-only': i > 0, locking: 'off' }),
      ],
      ...['-device', `nvme,drive=${name},serial=${name},addr=${5 + i}`],
    ]);
    // Without huge pages: the driver's own memory lies on ordinary ones here.
    machine = await Machine.boot(machineImages(), { drives, memoryMiB: 1024, hugePages: 0 });
    partition = `${await machine.blockDevice(DRIVE)}p1`;
    otherPartition = `${await machine.blockDevice(OTHER)}p1`;
    await machine.must(`mount /dev/${partition} /mnt`);
  }, 300_000);

  afterAll(async () => {
    await machine?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a drive with a mounted file system is listed as such and not given away', async () => {
    expect(await machine.must(`${NTX} nvme list`)).toMatch(new RegExp(`${partition}\\s+60 MiB\\s+mounted on /mnt`));
    const { status, output } = await machine.run(`${NTX} nvme bind ${DRIVE} 2>&1`);
    expect([status, output]).toEqual([2, expect.stringContaining(`in use: ${partition} is mounted on /mnt`)]);
  });

  test('nor is one that only another mount namespace uses', async () => {
    const elsewhere = `unshare -m sh -c 'mount -o ro,noload /dev/${otherPartition} /mnt && touch /tmp/mounted && exec sleep 1000'`;
    const wait = 'for i in $(seq 100); do [ -e /tmp/mounted ] && break; sleep 0.1; done';
    const bind = `${NTX} nvme bind ${OTHER} 2>&1; status=$?`;
    // The mount ends with its namespace's last process.
    const { status, output } = await machine.run(
      `${elsewhere} & pid=$!; ${wait}; ${NTX} nvme list; ${bind}; kill $pid; wait $pid; exit $status`,
    );
    expect(output).toMatch(new RegExp(`${otherPartition}\\s+60 MiB\\s+not in use`));
    expect([status, output]).toEqual([
      2,
      expect.stringMatching(/cannot be had: .* in use by the kernel \(ZFS, or a mount of another/),
    ]);
  });

  test('the model runs from its file, written in several pieces, and is mapped', async () => {
    // Two files that grow in turns lie between each other.
    const pieces = 'for i in 0 1 2 3 4 5 6; do for to in model.gguf other; do';
    const copy = 'dd if=/mnt/source.gguf of=/mnt/$to bs=512k skip=$i seek=$i count=1 conv=notrunc,fsync 2>/dev/null';
    await machine.must(`${pieces} ${copy}; done; done; cmp /mnt/model.gguf /mnt/source.gguf`);
    text = await machine.must(`${NTX} run /mnt/model.gguf ${RUN} 2>/dev/null`);
    expect(text.length).toBeGreaterThan(20);
    await machine.must(`${NTX} nvme map /mnt/model.gguf -o /tmp/model.ntxmap 2>&1`);
    const map = JSON.parse(await machine.must('cat /tmp/model.ntxmap'));
    expect(map.drive).toEqual({ serial: 'drive', model: 'QEMU NVMe Ctrl', namespace: 1 });
    expect(map.files[0].extents.length).toBeGreaterThan(2);
  });

  test('what has no place of its own on a drive is not mapped', async () => {
    const onTmpfs = await machine.run(
      `cp /mnt/model.gguf /tmp/; ${NTX} nvme map /tmp/model.gguf 2>&1; rm /tmp/model.gguf`,
    );
    expect(onTmpfs.output).toMatch(/lies on tmpfs/);
    const holes = 'truncate -s 5M /mnt/other';
    const { output } = await machine.run(`${holes}; ${NTX} nvme map /mnt/other -o /tmp/x.ntxmap 2>&1`);
    expect(output).toMatch(/is a hole/);
  });

  test('the run from the drive writes the same text; the kernel has the drive before and after', async () => {
    await machine.must('umount /mnt');
    const run = `${NTX} run /tmp/model.ntxmap --nvme ${DRIVE} ${RUN} 2>/tmp/log || cat /tmp/log`;
    expect(await machine.must(`${run}; readlink /sys/bus/pci/devices/${DRIVE}/driver`)).toBe(
      `${text}\n../../../bus/pci/drivers/nvme`,
    );
  });

  test.each(['INT', 'KILL'])('a run that ends by SIG%s gives the drive back as well', async (signal) => {
    const run = `${NTX} run /tmp/model.ntxmap --nvme ${DRIVE} ${RUN} --max-tokens 200 > /tmp/out 2>&1 &`;
    const started = 'while ! [ -s /tmp/out ]; do sleep 0.1; done';
    const back = `for i in $(seq 200); do [ -e /sys/bus/pci/devices/${DRIVE}/nvme ] && break; sleep 0.1; done`;
    const driver = `readlink /sys/bus/pci/devices/${DRIVE}/driver`;
    const line = `exec 2>/dev/null; rm -f /tmp/out; ${run} pid=$!; ${started}; ${driver}; kill -${signal} $pid; wait $pid; echo $?; ${back}; ${driver}`;
    const drivers = '../../../bus/pci/drivers';
    const status = signal === 'INT' ? 130 : 137;
    expect(await machine.must(line)).toBe(`${drivers}/vfio-pci\n${status}\n${drivers}/nvme`);
  });

  test('a drive that was bound stays so; another drive is refused by its serial number', async () => {
    await machine.must(`${NTX} nvme bind ${DRIVE} ${OTHER} 2>&1`);
    expect(await machine.must(`${NTX} run /tmp/model.ntxmap --nvme ${DRIVE} ${RUN} 2>/dev/null`)).toBe(text);
    const other = await machine.run(`${NTX} run /tmp/model.ntxmap --nvme ${OTHER} ${RUN} 2>&1`);
    expect(other.output).toMatch(/is of the drive with serial number drive, and drive 0000:00:06.0 has other/);
    await machine.must(`${NTX} nvme unbind ${DRIVE} 2>&1`);
  });

  test('a drive that was written to since is refused', async () => {
    await machine.must(
      `for i in 1 2 3 4 5; do mount /dev/${await machine.blockDevice(DRIVE)}p1 /mnt && break; sleep 1; done`,
    );
    await machine.must(
      'dd if=/dev/urandom of=/mnt/model.gguf bs=4k seek=256 count=1 conv=notrunc,fsync 2>/dev/null; umount /mnt',
    );
    const { status, output } = await machine.run(`${NTX} run /tmp/model.ntxmap --nvme ${DRIVE} ${RUN} 2>&1`);
    expect([status, output]).toEqual([2, expect.stringMatching(/model.gguf is not where its map says/)]);
  });

  test('has never written where it was not allowed to', async () => {
    expect(await machine.dmaFaults()).toBe('');
  });
});
