// The lock of native builds (scripts/native/state.mjs), in a folder that looks like a checkout.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const checkout = mkdtempSync(join(tmpdir(), 'ntx-lock-'));
const lock = join(checkout, 'build/.lock');
for (const name of ['state', 'environment']) {
  cpSync(join(root, `scripts/native/${name}.mjs`), join(checkout, `scripts/native/${name}.mjs`));
}
symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'));
mkdirSync(join(checkout, 'build'));
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

/** A process that writes `begin` and `end` of its turn with the lock to the file `turns`. */
function build(): ChildProcess {
  const code = `
    import { appendFileSync } from 'node:fs';
    import { setTimeout as sleep } from 'node:timers/promises';
    const { withLock } = await import(${JSON.stringify(pathToFileURL(join(checkout, 'scripts/native/state.mjs')).href)});
    await withLock(async () => {
      appendFileSync(${JSON.stringify(join(checkout, 'turns'))}, 'begin ');
      await sleep(300);
      appendFileSync(${JSON.stringify(join(checkout, 'turns'))}, 'end ');
    });`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], { timeout: 20_000, stdio: 'inherit' });
}

async function turnsOf(processes: readonly ChildProcess[]): Promise<string> {
  const codes = await Promise.all(processes.map(async (child) => (await once(child, 'exit'))[0]));
  expect(codes).toEqual(processes.map(() => 0));
  const turns = readFileSync(join(checkout, 'turns'), 'utf8');
  rmSync(join(checkout, 'turns'));
  expect(existsSync(lock)).toBe(false);
  return turns;
}

it('lets one build at a time', async () => {
  expect(await turnsOf([build(), build(), build()])).toBe('begin end begin end begin end ');
});

it.each([
  ['has died', JSON.stringify({ pid: 2 ** 22 + 1, start: '1' })],
  ['had the number of a process that runs now', JSON.stringify({ pid: process.pid, start: '1' })],
  ['was one of an older ntx', String(process.pid)],
  ['left it empty', ''],
])('is taken over where its holder %s', async (_, holder) => {
  writeFileSync(lock, holder);
  expect(await turnsOf([build()])).toBe('begin end ');
});
