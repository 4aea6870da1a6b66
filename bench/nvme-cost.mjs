// What reading costs the processor: the userspace driver against io_uring and preads (O_DIRECT) on the same emulated drive, in an
// emulated machine. Seconds are the guest's, whose every instruction is emulated: they compare ways of reading with each other,
// and say nothing of a real drive. Needs dist/ and the addons (npm run build), and Debian's packages (scripts/guest/parts.mjs).
//
//   node bench/nvme-cost.mjs [--bytes 1073741824] [--rounds 3] [--save]
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../dist/cli/machine.js';
import { buildInitramfs, buildPayload, makeExt4 } from '../scripts/guest/images.mjs';
import { Machine } from '../scripts/guest/machine.mjs';
import { guestParts } from '../scripts/guest/parts.mjs';
import { saveResult } from './save.mjs';

const MODEL = fileURLToPath(new URL('../models/fable-29m-q4_k_m.gguf', import.meta.url));
const DRIVE = '0000:00:05.0';
const { values } = parseArgs({
  options: {
    bytes: { type: 'string', default: String(2 ** 30) },
    rounds: { type: 'string', default: '3' },
    save: { type: 'boolean' },
  },
});

const folder = mkdtempSync(join(tmpdir(), 'ntx-nvme-bench-'));
const parts = guestParts();
const content = join(folder, 'content');
mkdirSync(content);
copyFileSync(MODEL, join(content, 'model.gguf'));
const image = join(folder, 'drive.img');
makeExt4(image, content, 64);
const payload = buildPayload(parts, fileURLToPath(new URL('./nvme/guest', import.meta.url)));
const machine = await Machine.boot(
  { parts, initramfs: buildInitramfs(parts), payload },
  {
    drives: [
      '-blockdev',
      `driver=file,filename=${image},node-name=d`,
      '-device',
      'nvme,drive=d,serial=bench,mdts=9,addr=5',
    ],
  },
);
const results = [];
try {
  const mount = async () => machine.must(`mount /dev/${await machine.blockDevice(DRIVE)} /mnt`);
  await mount();
  await machine.must('node /ntx/dist/main.js nvme map /mnt/model.gguf -o /tmp/model.ntxmap 2>&1');
  const measure = async (way, path) => {
    const output = await machine.must(`node /ntx/guest/cost.mjs ${way} ${path} ${values.bytes} ${DRIVE}`, 600_000);
    results.push(JSON.parse(output.split('\n').find((line) => line.startsWith('{'))));
  };
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const way of ['io_uring', 'pread']) await measure(way, '/mnt/model.gguf');
    await machine.must('umount /mnt');
    for (const spin of [0, 10, 50]) await measure(`nvme:${spin}`, '/tmp/model.ntxmap');
    await mount();
  }
} finally {
  await machine.close();
  rmSync(folder, { recursive: true });
}

for (const {
  way,
  gigabytesPerSecond,
  userSecondsPerGigabyte,
  systemSecondsPerGigabyte,
  machineSecondsPerGigabyte,
} of results) {
  const text = (value) => value.toFixed(2).padStart(6);
  console.log(
    `${way.padEnd(42)} ${text(gigabytesPerSecond)} GB/s; CPU seconds a GB: ${text(userSecondsPerGigabyte)} user, ` +
      `${text(systemSecondsPerGigabyte)} system, ${text(machineSecondsPerGigabyte)} of the whole machine`,
  );
}
if (values.save) {
  const guest = 'QEMU (TCG, 2 processors), Linux 6.12, emulated NVMe behind VT-d';
  saveResult('nvme-cost-emulated', { machine: describeMachine(), guest, results });
}
