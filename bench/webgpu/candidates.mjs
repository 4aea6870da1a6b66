// Kernels to compare: cuts of the vector and tile kernels, and changes of their text.
import { TYPES } from '../../dist/gguf/types.js';

export const PATCHES = {
  // Bytes to floats by conversion instead of through mantissas.
  convert: (code) =>
    code
      .replace(
        /fn byte_0\(v: Bits\) -> Reals \{[^}]*\}/,
        'fn byte_0(v: Bits) -> Reals {\n  return Reals((bitcast<Ints>(v << Bits(24u))) >> Bits(24u));\n}',
      )
      .replace(
        /fn byte_1\(v: Bits\) -> Reals \{[^}]*\}/,
        'fn byte_1(v: Bits) -> Reals {\n  return Reals((bitcast<Ints>(v << Bits(16u))) >> Bits(24u));\n}',
      ),
};

export const nameOf = ({ choice, patch }) => {
  const how =
    choice.family === 'vector'
      ? `${choice.lanes}x${choice.tiles} rows, split ${choice.split}, ${choice.threads} threads, ${choice.columns} cols${choice.inQuads ? ', in quads' : ''}`
      : `tile ${16 * choice.tm}x${16 * choice.tn}`;
  return `${choice.activations} ${how}${patch ? ` (${patch})` : ''}`;
};

const isCoded = (type) => TYPES[type].blockWeights > 1;
/** (threads that share weight rows, threads of a workgroup) */
const WIDE_GRID = [
  [32, 64],
  [32, 128],
  [32, 256],
  [64, 64],
  [64, 128],
  [128, 128],
  [256, 256],
];
const GRID = [
  [32, 128],
  [64, 128],
  [128, 128],
];

function vectors(facts, activations, columns, grid, tilings, inQuads = false) {
  const subgroup = facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize ? facts.subgroupMaxSize : 1;
  const most = Math.min(256, facts.limits.maxComputeInvocationsPerWorkgroup);
  return tilings.flatMap(([lanes, tiles]) =>
    grid
      .filter(([split, threads]) => threads <= most && split >= subgroup)
      .map(([split, threads]) => ({
        choice: { family: 'vector', activations, inQuads, columns, lanes, tiles, split, threads, subgroup },
      })),
  );
}

/** For one activation row. */
export function vectorCandidates(facts, type, isGated) {
  const [small, ...large] = isGated
    ? [
        [2, 2],
        [4, 2],
        [4, 4],
      ]
    : [
        [2, 1],
        [4, 1],
        [4, 2],
      ];
  const patched = (patch) => vectors(facts, 'f32', 1, GRID, large).map((each) => ({ ...each, patch }));
  return [
    ...vectors(facts, 'f32', 1, WIDE_GRID, [small, ...large]),
    ...(isCoded(type) ? [...vectors(facts, 'int8', 1, GRID, large), ...patched('convert')] : []),
    ...(type === 'Q8_0' ? vectors(facts, 'int8', 1, GRID, large, true) : []),
  ];
}

/** For a few. */
export function columnCandidates(facts, type, columns) {
  const tilings = [
    [2, 1],
    [4, 1],
    [4, 2],
  ];
  return [
    ...(columns <= 8 || !isCoded(type) ? vectors(facts, 'f32', columns, GRID, tilings) : []),
    ...(isCoded(type) ? vectors(facts, 'int8', columns, GRID, tilings) : []),
  ];
}

/** For many. */
export function tileCandidates(type) {
  const sizes = [
    [1, 8],
    [2, 4],
    [2, 8],
    [4, 4],
    [4, 8],
    [8, 4],
    [8, 8],
  ];
  const tile = (activations) => (size) => {
    const [tm, tn] = size;
    return { choice: { family: 'tile', activations, tm, tn } };
  };
  if (!isCoded(type)) return sizes.map(tile('f32'));
  return [...sizes.map(tile('int8')), tile('f32')([4, 8])];
}
