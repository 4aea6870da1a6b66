// Runs in the guest: reads the model over and over through a reader, and tells what that cost. `cost.mjs WAY PATH BYTES [ADDRESS]`; WAY: io_uring, pread,
// nvme:MICROSECONDS that a thread looks for completions before it sleeps
import { readFileSync } from 'node:fs';
import { createBackend } from '../dist/backend/index.js';
import { attachModel } from '../dist/nvme/attach.js';
import { Kernel } from '../dist/nvme/sysfs.js';
import { takeDrive } from '../dist/nvme/take.js';
import { openReader } from '../dist/streaming/open-reader.js';

const [way, path, bytesText, address] = process.argv.slice(2);
const BLOCK = 1 << 20;
const DEPTH = 16;

/** Seconds of all processors that were not idle: interrupts and kernel threads are nobody's process time. */
function machineBusy() {
  const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq) / 100;
}

async function open() {
  if (!way.startsWith('nvme')) {
    const reader = await openReader([path], { method: way, direct: true, depth: DEPTH, maxBytes: BLOCK });
    return { reader, fileBytes: reader.fileBytes()[0], close: () => reader.close() };
  }
  const taken = await takeDrive(new Kernel(), address);
  const spinMicroseconds = Number(way.split(':')[1]);
  const model = await attachModel(path, taken.source, { depth: DEPTH, commandBytes: BLOCK, spinMicroseconds });
  const [file] = model.gguf.files;
  const reader = await openReader([file.path]);
  const close = () => reader.close().then(() => model.detach().then(() => taken.giveBack()));
  return { reader, fileBytes: file.bytes, stats: () => model.drive.stats, close };
}

const backend = await createBackend({ backend: 'cpu', threads: 1 });
const memory = backend.allocateHost(DEPTH * BLOCK, 'target');
memory.view(0, memory.bytes).fill(1);
const { reader, fileBytes, stats, close } = await open();
reader.attach?.([{ memory, offset: 0, bytes: memory.bytes }]);
const blocks = Math.floor(fileBytes / BLOCK);

/** DEPTH lanes of whole blocks, round and round the file. */
async function read(bytes) {
  let next = 0;
  const count = Math.ceil(bytes / BLOCK);
  const lane = async (at) => {
    for (let i = next++; i < count; i = next++) {
      await reader.read({ file: 0, offset: (i % blocks) * BLOCK, bytes: BLOCK, memory, at: at * BLOCK });
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, (_, at) => lane(at)));
  return count * BLOCK;
}

await read(32 * BLOCK); // caches, compilers
const [begin, cpu, busy] = [performance.now(), process.cpuUsage(), machineBusy()];
const bytes = await read(Number(bytesText));
const { user, system } = process.cpuUsage(cpu);
const gigabytes = bytes / 1e9;
console.log(
  JSON.stringify({
    way: stats ? `${reader.name}, looks for ${way.split(':')[1]} us` : reader.name,
    bytes,
    gigabytesPerSecond: gigabytes / ((performance.now() - begin) / 1000),
    userSecondsPerGigabyte: user / 1e6 / gigabytes,
    systemSecondsPerGigabyte: system / 1e6 / gigabytes,
    machineSecondsPerGigabyte: (machineBusy() - busy) / gigabytes,
    ...(stats && { stats: stats() }),
  }),
);
await close();
await backend.dispose();
