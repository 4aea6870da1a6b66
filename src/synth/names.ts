// Shapes and types of weights by the names that users give.
import { NtxError } from '../errors.js';
import { WEIGHT_TYPES, type WeightTypes } from './recipe.js';
import { SHAPES, type Shape } from './shapes.js';

/** @throws NtxError `bad-argument` for a name that is not in SHAPES */
export function shapeNamed(name: string): Shape {
  if (!Object.hasOwn(SHAPES, name)) throw unknown('shape', name, Object.keys(SHAPES));
  return SHAPES[name as keyof typeof SHAPES];
}

/**
 * @param name out of WEIGHT_TYPES, in any case
 * @throws NtxError `bad-argument` for one that is not
 */
export function weightTypesNamed(name: string): WeightTypes {
  const types = WEIGHT_TYPES.find((known) => known === name.toUpperCase());
  if (types === undefined) throw unknown('type of weights', name, WEIGHT_TYPES);
  return types;
}

function unknown(what: string, name: string, known: readonly string[]): NtxError {
  return new NtxError('bad-argument', `There is no ${what} named '${name}'.`, `Choose one of: ${known.join(', ')}.`);
}
