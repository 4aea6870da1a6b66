// How fast is the tokenizer, and what does it cost to make one?
//   node bench/tokenizer.mjs [text file] [model.gguf ...] [--save]
// Without arguments: this repository's sources and the vocabularies of the unit tests, and one as large as Llama 3's.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { brotliDecompressSync } from 'node:zlib';
import { describeMachine } from '../dist/cli/machine.js';
import { openGguf } from '../dist/gguf/open.js';
import { createTokenizer } from '../dist/tokenizer/index.js';
import { saveResult } from './save.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const VECTORS = join(ROOT, 'test/unit/vectors/tokenizer');
const RUNS = 3;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

function heldBytes() {
  // The second round frees what finalizers of the first let go.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function seconds(run) {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
}

const results = [];

function measure(name, model, text) {
  const before = heldBytes();
  let tokenizer;
  const construct = seconds(() => {
    tokenizer = createTokenizer(model);
  });
  const held = heldBytes() - before;
  const megabytes = Buffer.byteLength(text) / 1e6;
  let ids = [];
  const encode = Array.from({ length: RUNS }, () => seconds(() => (ids = tokenizer.encode(text))));
  const decode = Math.min(...Array.from({ length: RUNS }, () => seconds(() => tokenizer.decode(ids))));
  const run = seconds(() => tokenizer.encode('a'.repeat(1e6)));
  results.push({
    ...{ vocabulary: name, tokens: tokenizer.size, constructSeconds: construct, heldBytes: held },
    ...{
      encodeBytesPerSecond: (megabytes * 1e6) / Math.min(...encode),
      decodeBytesPerSecond: (megabytes * 1e6) / decode,
    },
  });
  console.log(
    [
      name.padEnd(18),
      `${tokenizer.size} tokens`.padStart(14),
      `construct ${(construct * 1000).toFixed(0)} ms, ${(held / 1e6).toFixed(1)} MB`.padStart(28),
      `encode ${(megabytes / encode[0]).toFixed(1)} MB/s first, ${(megabytes / Math.min(...encode)).toFixed(1)} best`,
      `decode ${(megabytes / decode).toFixed(1)} MB/s`,
      `1 MB of one letter ${(run * 1000).toFixed(0)} ms`,
    ].join('  '),
  );
}

/** About the size of Llama 3's: the tokens of the byte-level vocabularies, and their pairs until there are enough. */
function largeVocabulary(models, size, mergeCount) {
  const texts = new Set(models.flatMap((model) => model.metadata.get('tokenizer.ggml.tokens')));
  const parts = [...texts].slice(0, 20_000);
  let seed = 1;
  const choose = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return parts[Math.floor((seed / 2 ** 32) * parts.length)];
  };
  while (texts.size < size) texts.add((choose() + choose()).slice(0, 16));
  const tokens = [...texts].slice(0, size);
  const known = new Set(tokens);
  const merges = [];
  for (const token of tokens.toSorted((a, b) => a.length - b.length)) {
    for (let at = 1; at < token.length && merges.length < mergeCount; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      if (known.has(left) && known.has(right)) merges.push(Buffer.from(`${left} ${right}`).toString());
    }
  }
  const metadata = new Map([
    ['tokenizer.ggml.model', 'gpt2'],
    ['tokenizer.ggml.pre', 'llama-bpe'],
    ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.merges', merges],
  ]);
  return { model: { files: [], version: 3, metadata, tensors: new Map() }, merges: merges.length };
}

function sources() {
  const paths = readdirSync(ROOT, { recursive: true }).filter(
    (path) => /\.(ts|md|h|cc|cu|wgsl)$/.test(path) && !/^(node_modules|dist|build)\b/.test(path),
  );
  return paths.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
}

const [textFile, ...files] = process.argv.slice(2).filter((word) => word !== '--save');
const text = textFile ? readFileSync(textFile, 'utf8') : sources();
console.log(`${(Buffer.byteLength(text) / 1e6).toFixed(2)} MB of text, Node ${process.version}`);
if (files.length > 0) {
  for (const file of files) measure(basename(file, '.gguf'), await openGguf(file), text);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'ntx-bench-'));
  const byteLevel = [];
  for (const name of ['stories260k', 'llama-spm', 'deepseek-coder', 'starcoder', 'gpt-2']) {
    const path = join(folder, `${name}.gguf`);
    writeFileSync(path, brotliDecompressSync(readFileSync(join(VECTORS, `${name}.gguf.br`))));
    const model = await openGguf(path);
    if (model.metadata.get('tokenizer.ggml.model') === 'gpt2') byteLevel.push(model);
    measure(name, model, text);
  }
  rmSync(folder, { recursive: true });
  measure('fable-29m', await openGguf(join(ROOT, 'models/fable-29m-q4_k_m.gguf')), text);
  const { model, merges } = largeVocabulary(byteLevel, 128_256, 280_147);
  measure(`${(merges / 1000).toFixed(0)}k merges`, model, text);
}
if (process.argv.includes('--save')) saveResult('tokenizer', { machine: describeMachine(), results });
