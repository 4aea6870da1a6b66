// A model of a shape without a file: what `ntx synth` would write, as the header of it would be read.
import type { GgufModel, MetadataValue, TensorInfo } from '../gguf/types.js';
import { layOut } from '../gguf/write.js';
import { buildModel, type Model, ROPE_FACTORS } from '../model/index.js';
import { describeModel, describeTensors } from './contents.js';
import { shapeNamed, weightTypesNamed } from './names.js';

/** A header whose one file does not exist, and the model that it describes. */
export interface ShapeModel {
  readonly gguf: GgufModel;
  readonly model: Model;
}

/**
 * @param name out of SHAPES
 * @param type out of WEIGHT_TYPES, in any case
 * @param layers instead of the shape's
 * @throws NtxError('bad-argument') for a name that is in neither
 */
export function shapeModel(name: string, type: string, layers?: number): ShapeModel {
  const known = shapeNamed(name);
  const types = weightTypesNamed(type);
  const shape = { ...known, layers: layers ?? known.layers };
  const { tensors } = describeTensors(shape, types);
  const entries = describeModel(shape, types, name);
  const { places, bytes } = layOut({ metadata: entries, tensors });
  const infos = tensors.map((tensor, index): [string, TensorInfo] => [
    tensor.name,
    { ...tensor, file: 0, ...places[index] },
  ]);
  const gguf: GgufModel = {
    files: [{ path: `${name}:${types}`, bytes }],
    version: 3,
    metadata: new Map(entries.map(({ key, value }) => [key, value as MetadataValue])),
    tensors: new Map(infos),
  };
  const factors = gguf.tensors.get(ROPE_FACTORS);
  const model = buildModel(gguf, factors ? new Float32Array(factors.shape[0]).fill(1) : null);
  return { gguf, model: { ...model, config: { ...model.config, name: `${name} ${types}` } } };
}
