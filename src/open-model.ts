import { fileURLToPath } from 'node:url';
import { NtxError } from './errors.js';
import { openGguf } from './gguf/open.js';
import type { GgufModel } from './gguf/types.js';
import { buildModel, type Model, ROPE_FACTORS } from './model/index.js';
import { attachedModel } from './nvme/attach.js';
import { type DriveChoice, modelFromDrive } from './nvme/from-drive.js';
import { MAP_ENDING } from './nvme/model-map.js';
import { readFloats } from './streaming/load.js';
import { createTokenizer, type Tokenizer } from './tokenizer/index.js';

/** The model that comes with ntx: fable-29m, which continues stories (models/CARD.md). */
export const EMBEDDED_MODEL = fileURLToPath(new URL('../models/fable-29m-q4_k_m.gguf', import.meta.url));

/** A header that is understood: what a file holds, before any weight is read. */
export interface OpenedModel {
  readonly gguf: GgufModel;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** After the last read: gives the drive back, where one was taken. */
  close(): Promise<void>;
}

/**
 * Reads and checks a model's header, tokenizer and architecture. Throws NtxError for anything that ntx cannot run.
 */
export async function openModel(path: string, { nvme, unsafeNoIommu }: DriveChoice = {}): Promise<OpenedModel> {
  if (typeof path !== 'string' || path.includes('\0')) {
    const message = `the path of a model: expected a text without NUL characters, got ${JSON.stringify(path)}`;
    throw new NtxError('bad-argument', message, 'give the path of a .gguf file; of a URL, fileURLToPath(url)');
  }
  const drive = nvme === undefined ? null : await modelFromDrive(path, nvme, unsafeNoIommu);
  try {
    const gguf = attachedModel(path)?.gguf ?? (await openFile(path));
    const model = await readModel(gguf);
    const tokenizer = createTokenizer(gguf);
    if (tokenizer.size > model.config.vocabulary) {
      throw new NtxError(
        'bad-file',
        `the tokenizer has ${tokenizer.size} tokens and the embedding ${model.config.vocabulary} rows`,
        'the file is damaged: convert or download the model again',
      );
    }
    return { gguf, model, tokenizer, close: async () => drive?.close() };
  } catch (error) {
    await drive?.close();
    throw error;
  }
}

async function openFile(path: string): Promise<GgufModel> {
  if (!path.endsWith(MAP_ENDING)) return openGguf(path);
  const message = `${path} says where a model lies on a drive, and no drive is given`;
  throw new NtxError('bad-argument', message, 'name the drive: --nvme 0000:02:00.0 (see `ntx nvme list`)');
}

/** The architecture that a header describes, as units and ops. Throws NtxError for what ntx cannot run. */
export async function readModel(gguf: GgufModel): Promise<Model> {
  const factors = gguf.tensors.get(ROPE_FACTORS);
  return buildModel(gguf, factors ? await readFloats(gguf, factors) : null);
}
