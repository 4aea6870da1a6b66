// What a terminal shows when ntx tells a story, for the picture in README.md: runs the command, keeps what it wrote.
//
//   node bench/terminal.mjs [--save]
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describeMachine } from '../dist/cli/machine.js';
import { saveResult } from './save.mjs';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const args = ['run', '--seed', '7', '-n', '90'];
const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
if (status !== 0) throw new Error(`ntx ended with ${status}: ${stderr}`);
console.log(stdout + stderr);
if (process.argv.includes('--save')) {
  saveResult('terminal', { machine: describeMachine(), typed: `npx ntx ${args.join(' ')}`, stdout, stderr });
}
