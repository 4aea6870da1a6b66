/** The numbers of a real model, as its converter writes them into GGUF. */
export interface Shape {
  readonly architecture: 'llama' | 'qwen2' | 'qwen3';
  readonly layers: number;
  readonly width: number;
  readonly ffnWidth: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  /** The embedding is the output head too: the file has no output.weight. */
  readonly tied: boolean;
  readonly context: number;
  readonly ropeBase: number;
  readonly normEps: number;
  /** Llama 3.1 and later: the factor of their frequency scaling, stored as the tensor rope_freqs.weight. */
  readonly ropeFactor?: number;
}

type Sizes = Pick<Shape, 'layers' | 'width' | 'ffnWidth' | 'heads' | 'kvHeads' | 'headDim'>;

function sizes(
  layers: number,
  width: number,
  ffnWidth: number,
  heads: number,
  kvHeads: number,
  headDim = width / heads,
): Sizes {
  return { layers, width, ffnWidth, heads, kvHeads, headDim };
}

const LLAMA = { architecture: 'llama', normEps: 1e-5, tied: false } as const;
const LLAMA_2 = { ...LLAMA, vocabulary: 32_000, context: 4096, ropeBase: 10_000 } as const;
const LLAMA_3 = { ...LLAMA, vocabulary: 128_256, context: 131_072, ropeBase: 500_000 } as const;
const SMOLLM2 = { ...LLAMA, vocabulary: 49_152, context: 8192, tied: true } as const;
const QWEN_2 = { architecture: 'qwen2', normEps: 1e-6, context: 32_768, ropeBase: 1_000_000 } as const;
const QWEN_3 = {
  architecture: 'qwen3',
  normEps: 1e-6,
  context: 40_960,
  ropeBase: 1_000_000,
  vocabulary: 151_936,
} as const;
/** For tests: milliseconds to write, every tensor of the architecture present. */
const TINY = { vocabulary: 512, context: 256, ropeBase: 10_000 } as const;

/** Real shapes, from the published config.json of each model, and tiny ones for tests. */
export const SHAPES = {
  /** Llama 3.2 1B. */
  'llama-1b': { ...LLAMA_3, ...sizes(16, 2048, 8192, 32, 8), tied: true, ropeFactor: 32 },
  /** Llama 3.2 3B. */
  'llama-3b': { ...LLAMA_3, ...sizes(28, 3072, 8192, 24, 8), tied: true, ropeFactor: 32 },
  /** Llama 3.1 8B. */
  'llama-8b': { ...LLAMA_3, ...sizes(32, 4096, 14_336, 32, 8), ropeFactor: 8 },
  /** Llama 2 13B. */
  'llama-13b': { ...LLAMA_2, ...sizes(40, 5120, 13_824, 40, 40) },
  /** Llama 1 33B. */
  'llama-30b': { ...LLAMA_2, ...sizes(60, 6656, 17_920, 52, 52), context: 2048, normEps: 1e-6 },
  /** Llama 3.1 70B. */
  'llama-70b': { ...LLAMA_3, ...sizes(80, 8192, 28_672, 64, 8), ropeFactor: 8 },
  /** Mistral 7B v0.3. */
  'mistral-7b': { ...LLAMA, ...sizes(32, 4096, 14_336, 32, 8), vocabulary: 32_768, context: 32_768, ropeBase: 1e6 },
  'smollm2-135m': { ...SMOLLM2, ...sizes(30, 576, 1536, 9, 3), ropeBase: 100_000 },
  'smollm2-360m': { ...SMOLLM2, ...sizes(32, 960, 2560, 15, 5), ropeBase: 100_000 },
  'smollm2-1.7b': { ...SMOLLM2, ...sizes(24, 2048, 8192, 32, 32), ropeBase: 130_000 },
  /** Qwen 2 and 2.5; their 7B has a padded vocabulary. */
  'qwen2-0.5b': { ...QWEN_2, ...sizes(24, 896, 4864, 14, 2), vocabulary: 151_936, tied: true },
  'qwen2-1.5b': { ...QWEN_2, ...sizes(28, 1536, 8960, 12, 2), vocabulary: 151_936, tied: true },
  'qwen2-7b': { ...QWEN_2, ...sizes(28, 3584, 18_944, 28, 4), vocabulary: 152_064, tied: false },
  'qwen3-0.6b': { ...QWEN_3, ...sizes(28, 1024, 3072, 16, 8, 128), tied: true },
  'qwen3-1.7b': { ...QWEN_3, ...sizes(28, 2048, 6144, 16, 8, 128), tied: true },
  'qwen3-4b': { ...QWEN_3, ...sizes(36, 2560, 9728, 32, 8, 128), tied: true },
  'qwen3-8b': { ...QWEN_3, ...sizes(36, 4096, 12_288, 32, 8, 128), tied: false },
  'qwen3-14b': { ...QWEN_3, ...sizes(40, 5120, 17_408, 40, 8, 128), tied: false },
  'qwen3-32b': { ...QWEN_3, ...sizes(64, 5120, 25_600, 64, 8, 128), tied: false },
  'tiny-llama': { ...LLAMA, ...TINY, ...sizes(2, 64, 160, 4, 2) },
  /** The head's width times the heads is not the model's width, as in Qwen 3 4B; rows of 256 for the K types. */
  'tiny-llama-256': { ...LLAMA, ...TINY, ...sizes(3, 256, 768, 8, 2, 64), tied: true, ropeFactor: 8 },
  'tiny-qwen2': { ...QWEN_2, ...TINY, ...sizes(2, 64, 160, 4, 2), tied: true },
  'tiny-qwen3': { ...QWEN_3, ...TINY, ...sizes(2, 64, 160, 4, 2, 32), tied: true },
} as const satisfies Record<string, Shape>;

export type ShapeName = keyof typeof SHAPES;
