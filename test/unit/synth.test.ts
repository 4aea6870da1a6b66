import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeRow } from '../../src/backend/reference/dequantize/dequantize.js';
import { openGguf } from '../../src/gguf/open.js';
import { GGML_TYPES, type GgufModel, type TensorInfo } from '../../src/gguf/types.js';
import { writeGguf } from '../../src/gguf/write.js';
import { loadModel } from '../../src/index.js';
import { buildModel } from '../../src/model/index.js';
import { describeMetadata, describeTensors } from '../../src/synth/contents.js';
import { WEIGHT_TYPES, type WeightTypes } from '../../src/synth/recipe.js';
import { SHAPES, type Shape, type ShapeName } from '../../src/synth/shapes.js';
import { synthesize } from '../../src/synth/synthesize.js';
import { RandomTensors } from '../../src/synth/tensor-data.js';
import { createTokenizer } from '../../src/tokenizer/index.js';
import { cpuSeconds } from './cpu-seconds.js';
import { ntxError, temporaryFolder } from './gguf-bytes.js';

const folder = temporaryFolder();
let files = 0;
const newPath = () => join(folder, `file-${files++}.gguf`);

async function make(shape: ShapeName, type: WeightTypes, seed = 0): Promise<{ path: string; model: GgufModel }> {
  const path = newPath();
  await synthesize(path, { shape, type, seed });
  return { path, model: await openGguf(path) };
}

function bytesOf(model: GgufModel, { file, offset, bytes }: TensorInfo): Buffer {
  return readFileSync(model.files[file].path).subarray(offset, offset + bytes);
}

function decoded(model: GgufModel, tensor: TensorInfo): Float64Array {
  const [cols, rows = 1] = tensor.shape;
  const values = new Float64Array(cols * rows);
  const matrix = { type: tensor.type, rows, cols, bytes: bytesOf(model, tensor) };
  for (let row = 0; row < rows; row++) decodeRow(matrix, row, values.subarray(row * cols, (row + 1) * cols));
  return values;
}

function countTypes(shape: Shape, types: WeightTypes): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of describeTensors(shape, types).tensors) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

describe('weights', () => {
  it.each(GGML_TYPES)('of %s have mean 0 and standard deviation 1 / sqrt(columns)', async (type) => {
    const { model } = await make('tiny-llama-256', type);
    const matrices = [...model.tensors.values()].filter(({ shape }) => shape.length > 1);
    expect(matrices.every((tensor) => tensor.type === type)).toBe(true);
    for (const tensor of matrices) {
      const values = decoded(model, tensor);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
      // The codes of a block share its scales, which makes the estimates coarser than their count suggests.
      expect(deviation * Math.sqrt(tensor.shape[0])).toBeGreaterThan(0.9);
      expect(deviation * Math.sqrt(tensor.shape[0])).toBeLessThan(1.1);
      expect(Math.abs(mean) / deviation).toBeLessThan(0.15);
      expect(values.every(Number.isFinite)).toBe(true);
    }
  });

  it('of norms are near 1, of biases near 0', async () => {
    for (const shape of ['tiny-qwen2', 'tiny-qwen3'] as const) {
      const { model } = await make(shape, 'Q8_0');
      for (const tensor of model.tensors.values()) {
        if (tensor.shape.length > 1) continue;
        const centre = tensor.name.endsWith('.bias') ? 0 : 1;
        expect(tensor.type).toBe('F32');
        expect(decoded(model, tensor).every((value) => Math.abs(value - centre) <= 0.1 + 1e-6)).toBe(true);
      }
    }
  });

  it("has Llama 3.1's rope factors: 1 for fast pairs, the factor for slow ones", async () => {
    // Pair 28 turns 4.19 times in the original 8192 positions, pair 29 3.41 times, pair 36 0.81 times.
    const random = new RandomTensors(SHAPES['llama-8b'], [], 0);
    const [bytes] = random.pieces({ name: 'rope_freqs.weight', type: 'F32', shape: [64] });
    const factors = new Float32Array(bytes.buffer);
    expect(factors[0]).toBe(1);
    expect(factors[28]).toBe(1);
    expect(factors[29]).toBeGreaterThan(1);
    expect(factors[29]).toBeLessThan(2);
    expect(factors[36]).toBe(8);
    expect(factors[63]).toBe(8);
    expect(factors).toEqual(factors.toSorted());
  });

  it('has no equal rows in an output head that is larger than the pool of blocks', () => {
    const head = { name: 'output.weight', type: 'Q6_K', shape: [2048, 128_256] } as const;
    const rowBytes = (2048 / 256) * 210;
    const rows = new Set<string>();
    let carry = Buffer.alloc(0);
    for (const piece of new RandomTensors(SHAPES['llama-1b'], [head], 0).pieces(head)) {
      const bytes = Buffer.concat([carry, piece]);
      let at = 0;
      for (; at + rowBytes <= bytes.length; at += rowBytes) rows.add(bytes.toString('latin1', at, at + 32));
      carry = bytes.subarray(at);
    }
    expect(carry.length).toBe(0);
    expect(rows.size).toBe(128_256);
  });

  it('are the same for the same seed, and others for another', async () => {
    const [first, same, other] = [
      await make('tiny-llama', 'Q4_0', 1),
      await make('tiny-llama', 'Q4_0', 1),
      await make('tiny-llama', 'Q4_0', 2),
    ];
    expect(readFileSync(first.path).equals(readFileSync(same.path))).toBe(true);
    expect(readFileSync(first.path).equals(readFileSync(other.path))).toBe(false);
  });
});

describe('shapes', () => {
  it.each([
    'tiny-llama',
    'tiny-llama-256',
    'tiny-qwen2',
    'tiny-qwen3',
  ] as const)('%s is a model to ntx', async (shape) => {
    const { model } = await make(shape, 'Q4_K_M');
    const wanted: Shape = SHAPES[shape];
    const factors = wanted.ropeFactor ? new Float32Array(wanted.headDim / 2) : null;
    const { config } = buildModel(model, factors);
    const { architecture, layers, width, heads, kvHeads, headDim, ffnWidth, vocabulary } = wanted;
    expect(config).toMatchObject({ architecture, layers, width, heads, kvHeads, headDim, ffnWidth, vocabulary });
    expect(config.trainedContext).toBe(wanted.context);
    expect(config.rope.base).toBe(wanted.ropeBase);
    expect(config.normEps).toBeCloseTo(wanted.normEps, 9);
    expect(model.tensors.has('output.weight')).toBe(!wanted.tied);
  });

  // Parameters as the models' cards state them; embeddings count once where they are tied.
  it.each<[ShapeName, number]>([
    ['llama-1b', 1.24],
    ['llama-3b', 3.21],
    ['llama-8b', 8.03],
    ['llama-13b', 13.02],
    ['llama-30b', 32.53],
    ['llama-70b', 70.55],
    ['mistral-7b', 7.25],
    ['smollm2-135m', 0.135],
    ['smollm2-360m', 0.362],
    ['smollm2-1.7b', 1.71],
    ['qwen2-0.5b', 0.494],
    ['qwen2-1.5b', 1.54],
    ['qwen2-7b', 7.62],
    ['qwen3-0.6b', 0.596],
    ['qwen3-1.7b', 1.72],
    ['qwen3-4b', 4.02],
    ['qwen3-8b', 8.19],
    ['qwen3-14b', 14.77],
    ['qwen3-32b', 32.76],
  ])('%s has %f billion parameters', (name, billions) => {
    const { tensors } = describeTensors(SHAPES[name], 'F16');
    const parameters = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
    expect(parameters / 1e9 / billions).toBeCloseTo(1, 2);
  });

  it('have the keys that a real converter wrote for the embedded model', async () => {
    const real = (await openGguf('models/fable-29m-q4_k_m.gguf')).metadata;
    const { metadata } = (await make('tiny-llama-256', 'Q4_K_M')).model;
    const ofModel = (keys: Iterable<string>) => [...keys].filter((key) => /^(llama|tokenizer)\./.test(key)).sort();
    expect([...ofModel(metadata.keys()), 'tokenizer.ggml.add_eos_token'].sort()).toEqual(ofModel(real.keys()));
    for (const [key, value] of metadata) {
      if (real.has(key)) expect(typeof real.get(key)).toBe(typeof value);
    }
    expect(metadata.get('general.file_type')).toBe(real.get('general.file_type'));
  });
});

describe('activations', () => {
  it.each([
    ['tiny-llama-256', 'Q4_K_M'],
    ['tiny-llama-256', 'Q2_K'],
    ['tiny-qwen2', 'Q5_1'],
    ['tiny-qwen3', 'BF16'],
  ] as const)('of %s in %s stay moderate through 20 layers', async (shape, type) => {
    const path = newPath();
    await synthesize(path, { shape, type, layers: 20 });
    const model = await loadModel(path, { backend: 'reference', context: 16 });
    const output = await model.sequence.extend(model.tokenizer.encode('the other'));
    await model.dispose();
    const logits = [...(output?.logits ?? [])];
    // The best of 512 values that are about N(0, 1), in order.
    expect(logits.length).toBeGreaterThan(8);
    expect(logits[0]).toBeGreaterThan(1.5);
    expect(logits[0]).toBeLessThan(8);
    expect(new Set(logits).size).toBe(logits.length);
  });
});

describe('mixes', () => {
  it("gives the embedded model's types, which llama.cpp chose", async () => {
    const { tensors } = await openGguf('models/fable-29m-q4_k_m.gguf');
    const shape = {
      ...SHAPES['tiny-llama-256'],
      layers: 8,
      width: 512,
      ffnWidth: 1536,
      heads: 8,
      kvHeads: 4,
      vocabulary: 8192,
    };
    const { tensors: ours, notes } = describeTensors({ ...shape, ropeFactor: 0 }, 'Q4_K_M');
    expect(notes).toEqual([]);
    expect(new Map(ours.map(({ name, type, shape }) => [name, { type, shape }]))).toEqual(
      new Map([...tensors].map(([name, { type, shape }]) => [name, { type, shape }])),
    );
  });

  // Counts that llama.cpp prints when it loads the published files of these models.
  it.each<[ShapeName, WeightTypes, Record<string, number>]>([
    ['llama-8b', 'Q4_K_M', { F32: 66, Q4_K: 193, Q6_K: 33 }],
    ['llama-8b', 'Q3_K_M', { F32: 66, Q3_K: 129, Q4_K: 92, Q5_K: 4, Q6_K: 1 }],
    ['llama-13b', 'Q4_K_M', { F32: 81, Q4_K: 241, Q6_K: 41 }],
    ['llama-70b', 'Q4_K_M', { F32: 162, Q4_K: 441, Q5_K: 40, Q6_K: 81 }],
    ['qwen2-0.5b', 'Q4_K_M', { F32: 121, Q4_K: 12, Q5_0: 132, Q6_K: 12, Q8_0: 13 }],
    ['llama-8b', 'Q4_K', { F32: 66, Q4_K: 226 }],
    ['qwen2-0.5b', 'Q2_K', { F32: 121, Q2_K: 24, Q4_0: 145 }],
  ])('%s in %s', (name, types, counts) => {
    expect(countTypes(SHAPES[name], types)).toEqual(counts);
  });

  it('says which matrices have another type than asked for', () => {
    const { notes } = describeTensors(SHAPES['qwen2-0.5b'], 'Q4_K');
    expect(notes).toEqual(['145 matrices with rows of 896 weights, which blocks of Q4_K do not divide: Q5_0 instead']);
    expect(describeTensors(SHAPES['llama-8b'], 'Q4_K').notes).toEqual([]);
  });

  it.each(WEIGHT_TYPES)('%s gives a file that opens', async (types) => {
    const { model } = await make('tiny-llama-256', types);
    expect(buildModel(model, new Float32Array(32)).config.layers).toBe(3);
  });
});

describe('vocabulary', () => {
  it.each([
    'tiny-llama',
    'tiny-qwen2',
  ] as const)('of %s encodes any text in more than bytes, and gives it back', async (shape) => {
    const { model } = await make(shape, 'F16');
    const tokenizer = createTokenizer(model);
    for (const text of ['the other one is in there', 'Grüße, 世界! 🎉\n\t\0', '']) {
      const ids = tokenizer.encode(text, { special: false });
      expect(ids.length).toBeLessThanOrEqual(Buffer.byteLength(text));
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer.encode('the other one', { special: false }).length).toBeLessThan(9);
  });

  it('of a real size has unique tokens, merged from earlier ones, and opens in time', async () => {
    const path = newPath();
    const metadata = describeMetadata(SHAPES['llama-1b'], 'F16', 'x', 0);
    await writeGguf(path, { metadata, tensors: [] }, () => []);
    const seconds = cpuSeconds();
    const model = await openGguf(path);
    // 0.1 s on an idle machine.
    expect(seconds()).toBeLessThan(0.6);
    const tokens = model.metadata.get('tokenizer.ggml.tokens') as string[];
    const merges = model.metadata.get('tokenizer.ggml.merges') as string[];
    const ids = new Map(tokens.map((token, id) => [token, id]));
    expect(tokens.length).toBe(128_256);
    expect(ids.size).toBe(128_256);
    expect(merges.length).toBe(128_256 - 258);
    for (const [i, merge] of merges.entries()) {
      const [left, right] = merge.split(' ');
      const id = 256 + i;
      if (tokens[id] !== left + right || !((ids.get(left) ?? id) < id) || !((ids.get(right) ?? id) < id)) {
        throw new Error(`merge ${i} is '${merge}', but token ${id} is '${tokens[id]}'`);
      }
    }
  });
});

describe('files', () => {
  it('are spread over shards with the same tensors', async () => {
    const { model } = await make('tiny-qwen3', 'Q8_0');
    for (const shards of [2, 5, model.tensors.size]) {
      const stem = join(folder, `shards-${shards}`);
      const progress: number[] = [];
      let total = 0;
      const onProgress = (written: number, all: number) => {
        progress.push(written);
        total = all;
      };
      const { paths, bytes } = await synthesize(
        `${stem}.gguf`,
        { shape: 'tiny-qwen3', type: 'q8_0', shards },
        onProgress,
      );
      expect(paths.length).toBe(shards);
      expect(paths[0]).toBe(`${stem}-00001-of-${String(shards).padStart(5, '0')}.gguf`);
      expect(paths.reduce((sum, path) => sum + statSync(path).size, 0)).toBe(bytes);
      expect(total).toBe(bytes);
      expect(progress).toEqual(progress.toSorted((a, b) => a - b));
      const split = await openGguf(stem);
      expect(split.files.length).toBe(shards);
      expect([...split.tensors.keys()]).toEqual([...model.tensors.keys()]);
      for (const tensor of split.tensors.values()) {
        expect(bytesOf(split, tensor).equals(bytesOf(model, model.tensors.get(tensor.name) as TensorInfo))).toBe(true);
      }
      const perFile = split.files.map(
        (_, file) => [...split.tensors.values()].filter((tensor) => tensor.file === file).length,
      );
      expect(Math.min(...perFile)).toBeGreaterThan(0);
    }
  });

  it('leave no shard behind when a later one cannot be written', async () => {
    writeFileSync(join(folder, 'half-00002-of-00002.gguf'), 'mine');
    const options = { shape: 'tiny-llama', type: 'F16', shards: 2 };
    const error = await ntxError(synthesize(join(folder, 'half.gguf'), options));
    expect(error.message).toContain('exists already');
    expect(readdirSync(folder).filter((name) => name.startsWith('half'))).toEqual(['half-00002-of-00002.gguf']);
  });

  it('take other sizes than the real model', async () => {
    const path = newPath();
    await synthesize(path, { shape: 'tiny-llama', type: 'F16', vocabulary: 300, context: 77, layers: 1 });
    const model = await openGguf(path);
    expect(buildModel(model, null).config).toMatchObject({ vocabulary: 300, trainedContext: 77, layers: 1 });
  });

  it.each([
    [{ shape: 'llama-9b', type: 'F16' }, "shape named 'llama-9b'", 'llama-8b'],
    [{ shape: 'toString', type: 'F16' }, "shape named 'toString'", 'llama-8b'],
    [{ shape: 'tiny-llama', type: 'Q4_K_XL' }, "type of weights named 'Q4_K_XL'", 'Q4_K_M'],
    [{ shape: 'tiny-llama', type: 'F16', vocabulary: 257 }, 'vocabulary', 'range'],
    [{ shape: 'tiny-llama', type: 'F16', context: 0.5 }, 'context', 'range'],
    [{ shape: 'tiny-llama', type: 'F16', layers: 0 }, 'layers', 'range'],
    [{ shape: 'tiny-llama', type: 'F16', seed: -1 }, 'seed', 'range'],
    [{ shape: 'tiny-llama', type: 'F16', shards: 22 }, 'shards', 'range'],
  ])('say what cannot be: %j', async (options, message, advice) => {
    const path = newPath();
    const error = await ntxError(synthesize(path, options));
    expect(error.code).toBe('bad-argument');
    expect(error.message).toContain(message);
    expect(error.advice).toContain(advice);
    expect(existsSync(path)).toBe(false);
  });

  it('vanish when writing is cancelled', async () => {
    const path = newPath();
    const controller = new AbortController();
    const writing = synthesize(path, { shape: 'tiny-llama', type: 'F16', signal: controller.signal }, () =>
      controller.abort(),
    );
    expect((await ntxError(writing)).code).toBe('cancelled');
    expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  });
});
