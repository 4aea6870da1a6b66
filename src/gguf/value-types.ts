/** The metadata value types of GGUF and their numbers in the file (gguf.md, `gguf_metadata_value_type`). */
export const VALUE_TYPES = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

export type ValueType = keyof typeof VALUE_TYPES;
export type ScalarType = Exclude<ValueType, 'array'>;

const NAMES = new Map<number, ValueType>(
  (Object.entries(VALUE_TYPES) as [ValueType, number][]).map(([name, id]) => [id, name]),
);

export function valueTypeName(id: number): ValueType | undefined {
  return NAMES.get(id);
}

/** Bytes that one value takes in the file; for strings and arrays the least that they can take (their counts). */
export const LEAST_BYTES: Readonly<Record<ValueType, number>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  string: 8,
  array: 12,
  uint64: 8,
  int64: 8,
  float64: 8,
};
