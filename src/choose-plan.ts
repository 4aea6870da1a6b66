// Whether a model runs with all its weights on the device, and by which plan where they do not fit.
import { cpus } from 'node:os';
import type { Backend, PassSizes } from './backend/backend.js';
import { loadHostAddon } from './backend/cpu/binding.js';
import { NtxError } from './errors.js';
import { isTied } from './model/index.js';
import type { OpenedModel } from './open-model.js';
import { budgetOf, type MemoryFacts, parseBudget } from './placement/budget.js';
import { typesOf } from './placement/build-request.js';
import { CLEARLY_FASTER, cpuAloneSeconds } from './placement/cpu-alone.js';
import { type KnownMachine, machineFor } from './placement/machine-for.js';
import {
  budgetsOf,
  fitsDevice,
  memoriesHere,
  type Placement,
  type PlacementOptions,
  type PurePlan,
  planFor,
} from './placement/plan-for.js';

type Budgeted = Pick<PlacementOptions, 'memories' | 'vram' | 'ram' | 'threads'>;

export interface PlanOptions {
  /** How much memory of the device weights, caches and slots may take: "12GiB", "80%". Default: what is free, less a margin. */
  readonly vram?: string | undefined;
  /** The same for RAM. */
  readonly ram?: string | undefined;
  /** Rows of one pass of a prompt. Default: as many as cost decoding little. */
  readonly maxRows?: number | undefined;
  /** To compare: what is out of VRAM is only copied, or only computed by the CPU as far as it can. Default: what is fastest. */
  readonly pure?: PurePlan | undefined;
  /** Threads that the CPU computes with. */
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called before each of the measurements that a plan needs, where the machine is not known yet. */
  readonly onMeasure?: ((probe: string, index: number, count: number) => void) | undefined;
}

export interface ChosenPlan {
  readonly placement: Placement;
  readonly known: KnownMachine;
  /** That it was made for. */
  readonly sizes: PassSizes;
  /** Whether the cpu backend alone would decode clearly faster: beside a small or slow device. */
  isCpuFaster(): boolean;
}

/** How a model runs. */
export interface Choice {
  /** null: all weights are on the device. */
  readonly plan: ChosenPlan | null;
  /** The device has room for the embedding as well, beside all else: it can draw tokens by itself then (Backend.submitDrawn). */
  readonly tableFits: boolean;
}

const ALL_ON_DEVICE: Choice = { plan: null, tableFits: false };

/** Rows of a pass: weights that are streamed for a prompt's pass cost it the less, the more rows it has. */
const MOST_ROWS = 2048;
/** Decoding may become this much slower by the room that activations of more rows take. */
const ROWS_COST = 1.01;

/**
 * The plan of a model that does not fit. Measures the machine where it is not known. Throws NtxError: 'bad-argument' for budgets
 * that cannot be, 'no-memory' where no plan fits them.
 * @param onlyFree takes what is free, less a margin, where more is wished for
 */
export async function choosePlan(
  opened: OpenedModel,
  backend: Backend,
  sizes: PassSizes,
  options: PlanOptions,
  onlyFree = false,
): Promise<Choice> {
  const memories = await memoriesHere(backend);
  const wish = (flag: string, text: string | undefined, memory: MemoryFacts | null) => {
    if (text === undefined) return undefined;
    const parsed = parseBudget(flag, text);
    const isThere = memory === null || budgetOf(memory, parsed).bytes <= budgetOf(memory, undefined).bytes;
    return isThere || !onlyFree ? parsed : undefined;
  };
  const vram = wish('--vram', options.vram, memories.device);
  const ram = wish('--ram', options.ram, memories.host);
  const { name, kind } = backend.device;
  if (kind === 'discrete-gpu' && memories.device === null && vram === undefined && ram === undefined) {
    if (!onlyFree) return ALL_ON_DEVICE; // it is tried
    const message = `there is no room for all of the model, and ${name} does not say how much memory it has`;
    throw new NtxError(
      'no-memory',
      message,
      'say how much of it ntx may take: --vram 12GiB, or choose a smaller model',
    );
  }
  const { gguf, model } = opened;
  const budgets = { memories, vram, ram, threads: options.threads };
  if (fits(opened, backend, sizes, budgets)) {
    const table = isTied(model) ? 0 : model.embedding.bytes;
    const isReadThere = model.embedding.bytes <= (backend.device.tableBytes ?? 0);
    return { plan: null, tableFits: isReadThere && fits(opened, backend, sizes, budgets, table) };
  }
  const { signal, onMeasure: onProgress, threads, maxRows, pure } = options;
  const files = gguf.files.map(({ path }) => path);
  const known = await machineFor({ backend, files, types: typesOf(model), signal, onProgress });
  const plan = (rows: number): ChosenPlan => {
    const wanted = { ...sizes, maxRows: rows };
    const cpuComputes = loadHostAddon().addon !== null;
    const wishes = { sizes: wanted, memories, vram, ram, disks: known.disks, threads, cpuComputes, pure };
    const placement = planFor(gguf, model, known.machine, wishes);
    const isCpuFaster = () => {
      const alone = cpuAloneSeconds(gguf, model, known.machine, wishes)?.[0] ?? Number.POSITIVE_INFINITY;
      return alone < CLEARLY_FASTER * placement.answer.plan.schedules[0].prediction.seconds;
    };
    return { placement, known, sizes: wanted, isCpuFaster };
  };
  const first = plan(sizes.maxRows);
  if (first.placement.answer.fitsDevice) return ALL_ON_DEVICE;
  return { plan: maxRows === undefined ? withMoreRows(first, plan) : first, tableFits: false };
}

/** The plan with the most rows that decodes about as fast as the first. */
function withMoreRows(first: ChosenPlan, plan: (rows: number) => ChosenPlan): ChosenPlan {
  const decodeSeconds = ({ placement }: ChosenPlan) => placement.answer.plan.schedules[0].prediction.seconds;
  let best = first;
  for (let rows = 2 * first.sizes.maxRows; rows <= Math.min(MOST_ROWS, first.sizes.context); rows *= 2) {
    try {
      const more = plan(rows);
      if (decodeSeconds(more) > ROWS_COST * decodeSeconds(first)) break;
      best = more;
    } catch (error) {
      if (error instanceof NtxError && error.code === 'no-memory') break;
      throw error;
    }
  }
  return best;
}

/** All weights fit where they would be computed with, and `more` bytes. */
function fits(
  { model }: OpenedModel,
  { device }: Backend,
  sizes: PassSizes,
  { memories, vram, ram, threads = cpus().length }: Budgeted,
  more = 0,
): boolean {
  return fitsDevice(model, device, sizes, budgetsOf(device, { memories, vram, ram }), threads, more);
}
