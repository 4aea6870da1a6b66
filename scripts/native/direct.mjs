// The build without CMake: every source by the suffix rule of native/flags.json, as many at once as there are cores.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { codeFlags } from './cuda.mjs';
import { root, runProgram } from './environment.mjs';
import { filesUnder } from './state.mjs';

const ptxasLog = join(root, 'scripts/native/ptxas-log.mjs');

/** The flags of a source by its name, or null when it is for another architecture. */
function flagsOf(source, table, cuda) {
  if (source.endsWith('.cu')) return [...cuda.flags, ...codeFlags(cuda.architectures)];
  const suffix = /\.([a-z0-9]+)\.cc$/.exec(source)?.[1];
  if (suffix === undefined) return table.common;
  const rule = table.suffixes[suffix];
  if (rule === undefined) throw new Error(`${source}: native/flags.json has no suffix "${suffix}"`);
  return rule.arch === process.arch ? [...table.common, ...rule.flags] : null;
}

/** The command line in front of a source's flags, and what is defined for it. */
function compilerOf(source, { compiler, cuda, libraries }) {
  if (source.endsWith('.cu')) return [process.execPath, ptxasLog, cuda.nvcc.command];
  const defines = libraries.map(({ define }) => `-D${define}`);
  return [
    compiler.command,
    ...defines,
    ...(cuda ? [`-DNTX_CUDA_ARCHITECTURES="${cuda.architectures.join(',')}"`] : []),
  ];
}

// An object's name carries the hash of all that made it, so an existing one is never stale.
async function compile(source, flags, job, headersHash) {
  const text = readFileSync(join(root, source));
  const [command, ...before] = compilerOf(source, job);
  const hash = createHash('sha256').update(JSON.stringify([flags, before, job.compiler, job.cuda?.nvcc, headersHash]));
  const stem = source.slice('native/'.length).replaceAll('/', '-');
  const object = join(job.folder, `${stem}.${hash.update(text).digest('hex').slice(0, 16)}.o`);
  if (existsSync(object)) return { object, failed: false, output: '' };
  const includes = job.headers.flatMap((folder) => ['-isystem', folder]);
  const { status, output } = await runProgram(command, [
    ...before,
    ...flags,
    ...includes,
    '-c',
    source,
    '-o',
    `${object}.part`,
  ]);
  if (status === 0) renameSync(`${object}.part`, object);
  if (status === 0 && source.endsWith('.cu')) renameSync(`${object}.part.ptxas`, `${object}.ptxas`);
  return { object, failed: status !== 0, output };
}

/** Runs `work` over the items, `limit` at a time; results in the items' order. */
async function inParallel(items, limit, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}

function removeOtherObjects(folder, objects) {
  const kept = new Set(objects.map((object) => relative(folder, object)));
  for (const name of readdirSync(folder)) {
    if (!kept.has(name.replace(/\.ptxas$/, ''))) rmSync(join(folder, name));
  }
}

/** Sources of every addon lie in native/ itself. */
function isShared(file) {
  return file.split('/').length === 2;
}

export async function buildDirect({ name, addon, table, compiler, headers, cuda, libraries }) {
  const folder = join(root, 'build/direct', name);
  mkdirSync(folder, { recursive: true });
  const files = filesUnder('native');
  const hash = createHash('sha256').update(JSON.stringify(headers));
  for (const file of files.filter((file) => /\.(h|cuh)$/.test(file))) hash.update(readFileSync(join(root, file)));
  const headersHash = hash.digest('hex');
  const sources = files
    .filter((file) => /\.(cc|cu)$/.test(file) && (file.startsWith(`${addon.folder}/`) || isShared(file)))
    .map((source) => ({ source, flags: flagsOf(source, table, cuda) }))
    .filter(({ flags }) => flags !== null);
  const job = { compiler, headers: [...headers, ...(cuda ? [cuda.nvcc.include] : [])], folder, cuda, libraries };
  const compiled = await inParallel(sources, availableParallelism(), ({ source, flags }) =>
    compile(source, flags, job, headersHash),
  );
  const output = compiled.map((result) => result.output).filter((text) => text !== '');
  const failed = compiled.filter((result) => result.failed);
  if (failed.length > 0) return { failed: true, output: failed.map((result) => result.output).join('\n'), file: '' };
  const objects = compiled.map((result) => result.object);
  removeOtherObjects(folder, objects);
  const file = join(folder, `${name}.node`);
  const folders = cuda ? [`-L${cuda.nvcc.library}`] : [];
  const link = [...addon.link, ...libraries.flatMap((library) => library.link)];
  const linked = await runProgram(compiler.command, [...objects, ...folders, ...link, '-o', file]);
  return { failed: linked.status !== 0, output: [...output, linked.output].filter(Boolean).join('\n'), file };
}
