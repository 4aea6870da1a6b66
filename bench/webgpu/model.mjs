// A model of a real shape with random weights on a backend, without a file: what whole passes and their kernels are timed on.
import { outputBytes } from '../../dist/backend/outputs.js';
import { Forward } from '../../dist/forward.js';
import { TYPES, typeBytes } from '../../dist/gguf/types.js';
import { buildModel, OUTPUTS, ROPE_TABLE, ropeTable } from '../../dist/model/index.js';
import { allocateBuffers } from '../../dist/streaming/buffers.js';
import { Streamer } from '../../dist/streaming/streamer.js';
import { randomBlocks } from '../../dist/synth/blocks.js';
import { describeMetadata, describeTensors } from '../../dist/synth/contents.js';
import { Random } from '../../dist/synth/random.js';
import { SHAPES } from '../../dist/synth/shapes.js';

/** Different bytes, which weights repeat; far less than the device's caches would make no difference: all is read anyway. */
const PATTERN_BYTES = 4 << 20;
const ALIGNMENT = 256;
const padded = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** The header that a file of the shape would have. */
function describe(shapeName, type, layers) {
  const shape = { ...SHAPES[shapeName], ...(layers ? { layers } : {}) };
  const metadata = new Map(describeMetadata(shape, type, shapeName, 1).map(({ key, value }) => [key, value]));
  const tensors = new Map(
    describeTensors(shape, type).tensors.map((tensor) => {
      const rows = tensor.shape.slice(1).reduce((product, n) => product * n, 1);
      return [tensor.name, { ...tensor, file: 0, offset: 0, bytes: rows * typeBytes(tensor.type, tensor.shape[0]) }];
    }),
  );
  return buildModel({ files: [], version: 3, metadata, tensors }, null);
}

class Patterns {
  #memories = new Map();

  constructor(backend) {
    this.backend = backend;
  }

  /** Whole blocks of a type, in host memory. */
  of(type) {
    let memory = this.#memories.get(type);
    if (!memory) {
      const { blockBytes, blockWeights } = TYPES[type];
      // A multiple of the alignment and of whole words as well, so that repetitions of it fit together.
      const count = Math.floor(PATTERN_BYTES / (blockBytes * ALIGNMENT)) * ALIGNMENT;
      const bytes = randomBlocks(type, count, 0.02 * Math.min(1, blockWeights), new Random(7, type));
      memory = this.backend.allocateHost(bytes.length, `pattern of ${type}`);
      memory.view(0, bytes.length).set(bytes);
      this.#memories.set(type, memory);
    }
    return memory;
  }

  async fill({ memory, offset, bytes }, type) {
    const pattern = this.of(type);
    let fence;
    for (let done = 0; done < bytes; done += pattern.bytes) {
      const piece = Math.ceil(Math.min(pattern.bytes, bytes - done) / 4) * 4;
      fence = this.backend.copy(
        { memory: pattern, offset: 0, bytes: piece },
        { memory, offset: offset + done, bytes: piece },
      );
    }
    await this.backend.wait(fence);
  }

  free() {
    for (const memory of this.#memories.values()) memory.free();
  }
}

/**
 * @param sizes maxRows, maxOutputs, slots, context
 * @returns the model, its recorded list, a Forward over it, and the seconds that compiling took
 */
export async function syntheticModel(backend, shapeName, type, sizes, layers) {
  const model = describe(shapeName, type, layers);
  const patterns = new Patterns(backend);
  const buffers = allocateBuffers(backend, model.buffers, sizes);
  const memories = [];
  const weights = new Map();
  const bind = ({ type, shape }, range) => ({ type, rows: shape[1] ?? 1, cols: shape[0], range });
  const place = async (label, tensors) => {
    const memory = backend.allocateDevice(
      tensors.reduce((sum, { bytes }) => sum + padded(bytes), 0),
      label,
    );
    memories.push(memory);
    let offset = 0;
    for (const tensor of tensors) {
      const range = { memory, offset, bytes: tensor.bytes };
      weights.set(tensor.name, { ...bind(tensor, range), table: weights.get(tensor.name)?.range });
      await patterns.fill(range, tensor.type);
      offset += padded(tensor.bytes);
    }
  };
  const { embedding } = model;
  const table = backend.allocateTable(embedding.bytes, 'token embedding');
  table
    .view(0, Math.min(embedding.bytes, PATTERN_BYTES))
    .set(
      randomBlocks(
        embedding.type,
        Math.ceil(PATTERN_BYTES / TYPES[embedding.type].blockBytes),
        0.02,
        new Random(8, 'embedding'),
      ).subarray(0, Math.min(embedding.bytes, PATTERN_BYTES)),
    );
  weights.set(embedding.name, bind(embedding, { memory: table, offset: 0, bytes: embedding.bytes }));
  await place('norms and biases', model.small);
  for (const unit of model.units) await place(unit.name, unit.tensors);

  const rope = ropeTable(model.config.rope, sizes.context);
  const staging = backend.allocateHost(rope.byteLength, 'rope table');
  staging.view(0, rope.byteLength).set(new Uint8Array(rope.buffer));
  await backend.wait(
    backend.copy({ memory: staging, offset: 0, bytes: rope.byteLength }, buffers.ranges.get(ROPE_TABLE)),
  );
  staging.free();
  patterns.free();

  const started = performance.now();
  const ops = [...model.prologue, ...model.units.flatMap((unit) => unit.ops)];
  const bindings = { weights, buffers: buffers.ranges, sizes };
  const list = backend.record(ops, bindings);
  await list.ready?.();
  const compileSeconds = (performance.now() - started) / 1000;
  const outputs = buffers.ranges.get(OUTPUTS);
  const bytesPerToken = model.units.reduce((sum, unit) => sum + unit.bytes, 0);
  return {
    ...{ model, ops, bindings, list, compileSeconds, bytesPerToken, outputBytes: outputBytes(256) },
    outputs,
    forward: new Forward(backend, resident(backend, list), outputs, sizes),
    free() {
      list.dispose();
      for (const memory of [...memories, table]) memory.free();
      buffers.free();
    },
  };
}

function resident(backend, list) {
  const recordings = [{ maxRows: Number.POSITIVE_INFINITY, list, transfers: [] }];
  return new Streamer({ backend, recordings, slots: [], stagingCount: 0, tierOf: () => null });
}
