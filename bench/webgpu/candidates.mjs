// Kernels to compare: cuts of the vector and tile kernels, and changes of their text.
import { chooseMatrix } from '../../dist/backend/webgpu/kernels/product-choice.js';
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
  // Q8_0: 16 codes a thread instead of 8.
  sixteen: (code) =>
    code
      .replace('const ITEM_WORDS = 2u;', 'const ITEM_WORDS = 4u;')
      .replace('return 8u * item;', 'return 16u * item;')
      .replace(
        /fn load_item\([\s\S]*?\n\}/,
        'fn load_item(at: Bits, item: u32) -> Item {\n  let s = load_16(at, item);\n  return Item(s.codes, array(s.scale), array(Reals()));\n}',
      ),
};

export const nameOf = ({ choice, patch }) => {
  const how =
    choice.family === 'vector'
      ? `${choice.lanes}x${choice.tiles} rows, split ${choice.split}, ${choice.threads} threads, ${choice.columns} cols`
      : choice.family === 'tile'
        ? `tile ${16 * choice.tm}x${16 * choice.tn}${choice.ahead ? ' ahead' : ''}`
        : `matrix ${32 * choice.fm}x${64 * choice.fn}`;
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

function vectors(facts, activations, columns, grid, tilings) {
  const subgroup = facts.subgroups && facts.subgroupMinSize === facts.subgroupMaxSize ? facts.subgroupMaxSize : 1;
  const most = Math.min(256, facts.limits.maxComputeInvocationsPerWorkgroup);
  return tilings.flatMap(([lanes, tiles]) =>
    grid
      .filter(([split, threads]) => threads <= most && split >= subgroup)
      .map(([split, threads]) => ({
        choice: { family: 'vector', activations, columns, lanes, tiles, split, threads, subgroup },
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
    ...(type === 'Q8_0' ? patched('sixteen') : []),
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
export function tileCandidates(facts, type) {
  const sizes = [
    [1, 8],
    [2, 4],
    [2, 8],
    [4, 4],
    [4, 8],
    [8, 4],
    [8, 8],
  ];
  const tile = (activations, ahead) => (size) => {
    const [tm, tn] = size;
    return { choice: { family: 'tile', activations, tm, tn, ahead } };
  };
  if (!isCoded(type)) return sizes.map(tile('f32', false));
  const matrices = [
    [2, 2],
    [2, 1],
    [4, 1],
    [1, 2],
    [1, 1],
  ].map(([fm, fn]) => ({ choice: { family: 'matrix', activations: 'fixed', fm, fn } }));
  return [
    ...(chooseMatrix(facts) ? matrices : []),
    ...sizes.map(tile('int8', true)),
    ...sizes.map(tile('int8', false)),
    tile('f32', false)([4, 8]),
  ];
}
