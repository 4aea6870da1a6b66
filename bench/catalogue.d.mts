/** [shape, type] */
type ModelChoice = readonly [string, string];
type Run = readonly string[];

export interface MachineFacts {
  readonly folder: string;
  readonly backends: Readonly<
    Record<'cpu' | 'cuda' | 'webgpu', { name: string; memoryBytes: number } | { missing: string }>
  >;
  readonly cpuVariants: readonly string[];
  readonly ramBytes: number;
  readonly diskBytes: number;
  modelBytes(model: ModelChoice): number;
}

export interface CatalogueEntry {
  readonly name: string;
  readonly question: string;
  readonly results: RegExp;
  plan(
    machine: MachineFacts,
    quick: boolean,
  ): { skip?: string; models?: readonly ModelChoice[]; runs?: readonly (Run | { NTX_CPU: string; run: Run })[] };
}

export const CATALOGUE: readonly CatalogueEntry[];
export function entryOf(name: string): CatalogueEntry;
