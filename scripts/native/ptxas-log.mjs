#!/usr/bin/env node
// Runs nvcc. What ptxas says of the kernels (-Xptxas -v: registers, spills) goes to <object>.ptxas instead of the screen;
// scripts/check-spills.mjs reads it.
//
//   node scripts/native/ptxas-log.mjs nvcc ARGUMENT...
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const [command, ...args] = process.argv.slice(2);
const { status, stderr, error } = spawnSync(command, args, {
  stdio: ['ignore', 'inherit', 'pipe'],
  encoding: 'utf8',
  maxBuffer: 64 << 20,
});
if (error) throw error;
const isInfo = (line) => /^ptxas info|bytes stack frame|^$/.test(line);
const lines = stderr.split('\n');
const shown = lines.filter((line) => !isInfo(line));
if (shown.length > 0) process.stderr.write(`${shown.join('\n')}\n`);
const object = args[args.indexOf('-o') + 1];
if (status === 0) writeFileSync(`${object}.ptxas`, lines.filter(isInfo).join('\n'));
process.exitCode = status ?? 1;
