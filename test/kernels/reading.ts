// Files straight into the host memory of a GPU backend, whatever its driver thinks of direct reads, and on to the device.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { loadHostAddon } from '../../src/backend/cpu/binding.js';
import { HostReader } from '../../src/streaming/host-reader.js';
import { openReader, type ReaderOptions } from '../../src/streaming/open-reader.js';

const BYTES = 9 * 2 ** 20;
const ROUNDS = 3;

/** Every way of the reader, with memory that is aligned and that is not; the buffer is used again, as staging is. */
export async function expectReadsReachTheDevice(backend: Backend): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ntx-reading-'));
  try {
    const content = randomBytes(BYTES + 4096 * ROUNDS);
    const path = join(folder, 'weights');
    writeFileSync(path, content);
    const ways: ReaderOptions[] = [
      { method: 'pread', direct: true },
      { method: 'pread', direct: false },
    ];
    if (loadHostAddon().addon?.ioUringInfo().unavailable === '') ways.unshift({ method: 'io_uring', direct: true });
    for (const way of ways) await expectWay(backend, path, content, way);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function expectWay(backend: Backend, path: string, content: Buffer, way: ReaderOptions): Promise<void> {
  const reader = await openReader([path], way);
  const memory = backend.allocateHost(BYTES + 4096, 'staging');
  const device = backend.allocateDevice(BYTES, 'slot');
  try {
    reader.attach?.([{ memory, offset: 0, bytes: memory.bytes }]);
    for (let round = 0; round < ROUNDS; round++) {
      const offset = 4096 * round;
      const at = 32 * round;
      await reader.read({ file: 0, offset, bytes: BYTES, memory, at });
      const fence = backend.copy({ memory, offset: at, bytes: BYTES }, { memory: device, offset: 0, bytes: BYTES });
      await backend.wait(fence);
      const found = Buffer.from(await backend.read({ memory: device, offset: 0, bytes: BYTES }));
      expect(found.equals(content.subarray(offset, offset + BYTES)), `${reader.name}, round ${round}`).toBe(true);
      await memory.map?.();
    }
    // Whether the driver's memory takes direct reads is worth knowing; both are right.
    if (reader instanceof HostReader) console.info(`${backend.device.name}: ${reader.name}`, reader.statistics());
  } finally {
    await reader.close();
    memory.free();
    device.free();
  }
}
