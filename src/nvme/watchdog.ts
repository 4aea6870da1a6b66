// A process of its own that gives a drive back to the kernel when the process that took it is gone, however it went. It holds
// the other end of a pipe to that process, and nothing else.
import { setTimeout as sleep } from 'node:timers/promises';
import { unbind } from './bind.js';
import { Kernel } from './sysfs.js';

const [address] = process.argv.slice(2);

// Ctrl-C and a closing terminal are for the other process; this one ends after it.
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {});
for await (const _ of process.stdin);

/** Until the kernel has taken the dead process apart. */
const TRIES = 100;
const PAUSE_MS = 100;
for (let tries = 0; tries < TRIES; tries++) {
  try {
    unbind(new Kernel(), address);
    break;
  } catch {
    await sleep(PAUSE_MS);
  }
}
