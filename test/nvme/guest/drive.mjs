// Runs in the guest: opens a drive and does what the steps say, a line of JSON each.
//
//   node drive.mjs '{ "address", "options", "steps": [{ "read": [offset, bytes, shift] }, { "probe": {...} }, ...] }'
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { findDrive } from '../dist/nvme/bind.js';
import { NvmeDrive } from '../dist/nvme/drive.js';
import { Kernel } from '../dist/nvme/sysfs.js';

const GUARD = 64;
const { address, options = {}, steps } = JSON.parse(process.argv[2]);
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** SHA-256 of the bytes, read to `shift` bytes after a page; the bytes around them have to stay as they were. */
async function read(drive, [offset, bytes, shift = 0]) {
  const memory = new Uint8Array(bytes + shift + 2 * GUARD).fill(0xa5);
  const view = memory.subarray(GUARD + shift, GUARD + shift + bytes);
  await drive.read(view, [{ offset, bytes, at: 0 }]);
  const around = [memory.subarray(0, GUARD + shift), memory.subarray(GUARD + shift + bytes)];
  if (around.some((part) => part.some((byte) => byte !== 0xa5)))
    throw new Error('bytes around the target were written to');
  return createHash('sha256').update(view).digest('hex');
}

let onLost;
const lost = new Promise((resolve) => {
  onLost = resolve;
});

/** An idle drive does not keep Node up. */
async function untilLost() {
  const timer = setInterval(() => {}, 1000);
  await lost;
  clearInterval(timer);
}

/** Tells as soon as a command was aborted. */
function watchAborts(drive) {
  const timer = setInterval(() => {
    if (drive.stats.aborts === 0) return;
    clearInterval(timer);
    say({ aborts: drive.stats.aborts });
  }, 50);
}

/** A read that the test holds back, and others that overtake it. */
async function overtake(drive, [first, ...others]) {
  const slow = read(drive, first);
  await sleep(100);
  const hashes = await Promise.all(others.map((each) => read(drive, each)));
  say({ overtook: hashes });
  return slow;
}

async function run(drive, step) {
  if (step.read) return read(drive, step.read);
  if (step.reads) return Promise.all(step.reads.map((each) => read(drive, each)));
  if (step.overtake) return overtake(drive, step.overtake);
  if (step.probe) return drive.probe(step.probe);
  if (step.stats) return drive.stats;
  if (step.untilLost) return untilLost();
  if (step.kill) return process.kill(process.pid, step.kill);
  throw new Error('no such step');
}

try {
  const { group, behindIommu } = findDrive(new Kernel(), address);
  const source = { kind: 'vfio', address, group, noIommu: !behindIommu };
  const drive = await NvmeDrive.open(source, options, (reason) => {
    say({ lost: reason });
    onLost();
  });
  say({ info: drive.info });
  for (const step of steps) {
    if (step.kill) {
      for (let i = 0; i < 64; i++) drive.read(new Uint8Array(4 << 20), [{ offset: 0, bytes: 4 << 20, at: 0 }]);
    }
    if (step.watch) watchAborts(drive);
    try {
      say({ ok: (await run(drive, step)) ?? null });
    } catch (error) {
      say({ error: error.message, advice: error.advice });
    }
  }
  await drive.close();
  say({ closed: true });
} catch (error) {
  say({ error: error.message, advice: error.advice });
  process.exitCode = 1;
}
