import { rm } from 'node:fs/promises';
import { NtxError } from '../errors.js';
import { type GgufContents, layOut, type MetadataEntry, type TensorSpec, writeGguf } from '../gguf/write.js';
import { describeMetadata, describeTensors } from './contents.js';
import { shapeNamed, weightTypesNamed } from './names.js';
import type { Shape } from './shapes.js';
import { RandomTensors } from './tensor-data.js';
import { LEAST_VOCABULARY } from './vocabulary.js';

export interface SynthOptions {
  /** A name out of SHAPES. */
  readonly shape: string;
  /** A name out of WEIGHT_TYPES: one type for all matrices, or a mix of llama.cpp. */
  readonly type: string;
  /** The same options give the same bytes. 0 by default. */
  readonly seed?: number | undefined;
  /** Tokens, instead of the real model's number. */
  readonly vocabulary?: number | undefined;
  /** Positions, instead of the real model's number. */
  readonly context?: number | undefined;
  /** Layers, instead of the real model's number. */
  readonly layers?: number | undefined;
  /** Files to spread the model over, named as gguf-split does. 1 by default. */
  readonly shards?: number | undefined;
  /** Replace files that exist. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SynthResult {
  readonly paths: readonly string[];
  readonly bytes: number;
  /** Sentences about matrices that could not have the type asked for. */
  readonly notes: readonly string[];
}

/**
 * Writes a GGUF model of a real shape with random weights and a random vocabulary: for measurements, and for tests.
 * @param path the file to write; of several shards what precedes `-00001-of-0000N.gguf`, with or without `.gguf`
 * @param onProgress called with the bytes written so far and the bytes of the whole model
 * @throws NtxError `bad-argument`, `io` or `cancelled`; then no file is left
 */
export async function synthesize(
  path: string,
  options: SynthOptions,
  onProgress?: (written: number, total: number) => void,
): Promise<SynthResult> {
  const { type, seed = 0, shards = 1, force = false, signal } = options;
  const shape = chooseShape(options);
  const types = weightTypesNamed(type);
  checkWhole('seed', seed, 0, 2 ** 32 - 1);
  const { tensors, notes } = describeTensors(shape, types);
  checkWhole('number of shards', shards, 1, Math.min(tensors.length, 99_999));
  const metadata = describeMetadata(shape, types, options.shape, seed);
  const parts = shards === 1 ? [{ path, contents: { metadata, tensors } }] : split(path, metadata, tensors, shards);
  const bytes = parts.reduce((sum, { contents }) => sum + layOut(contents).bytes, 0);
  const random = new RandomTensors(shape, tensors, seed);
  const paths: string[] = [];
  let before = 0;
  try {
    for (const part of parts) {
      before += await writeGguf(part.path, part.contents, (tensor) => random.pieces(tensor), {
        force,
        ...(signal && { signal }),
        onProgress: (written) => onProgress?.(before + written, bytes),
      });
      paths.push(part.path);
    }
  } catch (error) {
    for (const written of paths) await rm(written, { force: true });
    throw error;
  }
  return { paths, bytes, notes };
}

function chooseShape({ shape: name, vocabulary, context, layers }: SynthOptions): Shape {
  const shape = shapeNamed(name);
  const changed = {
    ...shape,
    vocabulary: vocabulary ?? shape.vocabulary,
    context: context ?? shape.context,
    layers: layers ?? shape.layers,
  };
  checkWhole('vocabulary', changed.vocabulary, LEAST_VOCABULARY, 1 << 20);
  checkWhole('context', changed.context, 1, 2 ** 31 - 1);
  checkWhole('number of layers', changed.layers, 1, 1000);
  return changed;
}

/** Shards of about equal bytes; the first has the metadata, as gguf-split of llama.cpp writes them. */
function split(
  path: string,
  metadata: readonly MetadataEntry[],
  tensors: readonly TensorSpec[],
  shards: number,
): { path: string; contents: GgufContents }[] {
  const { places, bytes: total } = layOut({ metadata: [], tensors });
  const groups: TensorSpec[][] = Array.from({ length: shards }, () => []);
  let shard = -1;
  for (const [i, tensor] of tensors.entries()) {
    const byBytes = Math.floor(((places[i].offset + places[i].bytes / 2) / total) * shards);
    // No shard stays empty: none is passed over, and the shards to come never outnumber the tensors to come.
    shard = Math.max(shard, Math.min(byBytes, shard + 1), shards - (tensors.length - i));
    groups[shard].push(tensor);
  }
  const digits = (n: number) => String(n).padStart(5, '0');
  const stem = path.replace(/\.gguf$/, '');
  return groups.map((group, no) => ({
    path: `${stem}-${digits(no + 1)}-of-${digits(shards)}.gguf`,
    contents: {
      metadata: [
        ...(no === 0 ? metadata : []),
        { key: 'split.no', type: 'uint16', value: no },
        { key: 'split.count', type: 'uint16', value: shards },
        { key: 'split.tensors.count', type: 'int32', value: tensors.length },
      ],
      tensors: group,
    },
  }));
}

function checkWhole(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new NtxError(
    'bad-argument',
    `The ${what} has to be a whole number from ${least} to ${most}, but it is ${value}.`,
    'Give one in this range.',
  );
}
