#!/usr/bin/env node
// Reads what ptxas said of every kernel of the last build (scripts/native/ptxas-log.mjs), and fails when a matrix-vector
// kernel spills registers to memory: those have to read weights as fast as the memory gives them.
//
//   node scripts/check-spills.mjs
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './native/environment.mjs';

const log = join(root, 'build/Release/ntx_cuda.ptxas');
/** Kernels of few activation rows, in mangled names. */
const MATRIX_VECTOR = /product_(vector|columns)/;

/** [{ name, architecture, registers, spilled }] of one log; spilled: bytes stored and loaded. */
function kernelsOf(text) {
  const kernels = [];
  for (const line of text.split('\n')) {
    const entry = /Compiling entry function '(\w+)' for '(\w+)'/.exec(line);
    if (entry) kernels.push({ name: entry[1], architecture: entry[2], registers: 0, spilled: 0 });
    const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    // Properties of device functions come before the first kernel.
    if (spills && kernels.length > 0) kernels.at(-1).spilled += Number(spills[1]) + Number(spills[2]);
    const used = /Used (\d+) registers/.exec(line);
    if (used && kernels.length > 0) kernels.at(-1).registers = Number(used[1]);
  }
  return kernels;
}

const kernels = existsSync(log) ? kernelsOf(readFileSync(log, 'utf8')) : [];
const vectors = kernels.filter(({ name }) => MATRIX_VECTOR.test(name));
if (vectors.length === 0) {
  console.error('ntx: no matrix-vector kernels were built: run "npm run build:cuda"');
  process.exit(1);
}
for (const { name, architecture, registers, spilled } of vectors.filter((kernel) => kernel.spilled > 0)) {
  console.log(`ntx: ${architecture} ${name} spills ${spilled} bytes with ${registers} registers, and must not`);
}
const bad = vectors.filter(({ spilled }) => spilled > 0).length;
const others = kernels.filter(({ name, spilled }) => spilled > 0 && !MATRIX_VECTOR.test(name)).length;
const architectures = [...new Set(vectors.map(({ architecture }) => architecture))].sort().join(', ');
console.log(
  `ntx: ${vectors.length} matrix-vector kernels for ${architectures}: ${bad === 0 ? 'none spills' : `${bad} spill`}; ` +
    `of the others ${others} do`,
);
process.exitCode = bad > 0 ? 1 : 0;
