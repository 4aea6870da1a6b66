import { NtxError } from '../errors.js';
import { type HeaderReader, printable } from './header-reader.js';
import type { RawHeader, RawTensor } from './read-header.js';
import { GGML_TYPES, type GgmlType, type TensorInfo, TYPES, typeBytes } from './types.js';

const BY_ID = new Map<number, GgmlType>(GGML_TYPES.map((type) => [TYPES[type].id, type]));

/** ggml's names of the types that ntx does not compute with (ggml.h, `enum ggml_type`). */
const OTHER_TYPES: Readonly<Record<number, string>> = {
  4: 'Q4_2',
  5: 'Q4_3',
  9: 'Q8_1',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  31: 'Q4_0_4_4',
  32: 'Q4_0_4_8',
  33: 'Q4_0_8_8',
  34: 'TQ1_0',
  35: 'TQ2_0',
  36: 'IQ4_NL_4_4',
  37: 'IQ4_NL_4_8',
  38: 'IQ4_NL_8_8',
  39: 'MXFP4',
  40: 'NVFP4',
  41: 'Q1_0',
  42: 'Q2_0',
};

/**
 * Checks every tensor of one file against the file: type, shape, alignment, place, overlap.
 * @param file index of the file in `GgufModel.files`
 * @throws NtxError `bad-file` or `unsupported`, naming the tensor
 */
export function indexTensors(reader: HeaderReader, header: RawHeader, file: number): TensorInfo[] {
  const tensors = header.tensors.map((raw) => checkTensor(reader, header, raw, file));
  // A zero-byte tensor cannot occur (every dimension is at least 1), so neighbours in this order decide overlap.
  const ordered = tensors.toSorted((a, b) => a.offset - b.offset);
  for (const [i, next] of ordered.entries()) {
    const before = ordered[i - 1];
    if (before && before.offset + before.bytes > next.offset) {
      throw reader.bad(
        `has overlapping tensors: '${printable(before.name)}' ends after '${printable(next.name)}' begins (byte ${next.offset})`,
      );
    }
  }
  return tensors;
}

function checkTensor(reader: HeaderReader, header: RawHeader, raw: RawTensor, file: number): TensorInfo {
  const name = printable(raw.name);
  const type = checkType(reader, raw);
  const shape = raw.shape.map(Number);
  const weights = shape.reduce((product, dimension) => product * dimension, 1);
  const described = `gives the tensor '${name}' the shape [${raw.shape.join(', ')}]`;
  if (shape.includes(0)) throw reader.bad(`${described}, with a dimension of 0`);
  if (weights > Number.MAX_SAFE_INTEGER) throw reader.bad(`${described}, which no file can hold`);
  const { blockWeights } = TYPES[type];
  if (shape[0] % blockWeights !== 0) {
    throw reader.bad(`${described} in ${type}, whose rows come in blocks of ${blockWeights} weights`);
  }
  // Both sums below may be inexact past 2^53: far beyond any file, so the comparison with its size still decides rightly.
  const bytes = typeBytes(type, weights);
  const offset = header.dataStart + Number(raw.offset);
  if (Number(raw.offset) % header.alignment !== 0) {
    throw reader.bad(`places the tensor '${name}' at the offset ${raw.offset}, not a multiple of ${header.alignment}`);
  }
  if (offset + bytes > reader.fileBytes) {
    const end = typeof raw.offset === 'bigint' ? `${raw.offset} bytes into its data` : `byte ${offset + bytes}`;
    throw reader.bad(`is cut short: the tensor '${name}' ends at ${end}, but the file at byte ${reader.fileBytes}`);
  }
  return { name: raw.name, type, shape, file, offset, bytes };
}

function checkType(reader: HeaderReader, { name, typeId }: RawTensor): GgmlType {
  const type = BY_ID.get(typeId);
  if (type) return type;
  const other = OTHER_TYPES[typeId];
  throw new NtxError(
    'unsupported',
    `'${reader.path}' stores the tensor '${printable(name)}' as ${other ?? `an unknown type (number ${typeId})`}, which ntx cannot compute with.`,
    `Use a file of the same model in one of ${GGML_TYPES.join(', ')} (a Q4_K_M file, for example).`,
  );
}
