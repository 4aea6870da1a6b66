import type { Command } from 'commander';
import type { PassSizes } from '../backend/backend.js';
import type { GgufModel } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import type { Machine } from '../placement/machine.js';
import type { Memories } from '../placement/plan-for.js';
import { showProbe } from './measure.js';
import { addBackendOptions, addBudgetOptions, addContextOption, type ModelFlags } from './model-options.js';
import { note, print, printJson, writeText } from './output.js';
import { planText } from './plan-text.js';
import { wholeValue } from './values.js';

interface PlanFlags extends ModelFlags {
  readonly rows: number;
  readonly batch?: number;
  readonly machine?: string;
  readonly type: string;
  /** --no-cpu */
  readonly cpu: boolean;
  readonly json?: boolean;
  readonly svg?: string;
  readonly html?: string;
}

/** A header that was read, or one that `ntx synth` would write. */
interface Planned {
  readonly gguf: GgufModel;
  readonly model: Model;
  /** There are files. */
  readonly isReal: boolean;
}

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .summary('show where a model would live and how fast it would run')
    .description(
      'Shows what of a model would lie in VRAM, in RAM and on disk, how fast it would run, what bounds it, and what other ' +
        'placements would come to. Loads no weights. The machine is measured first, for at most ten seconds, unless it is known.',
    )
    .argument(
      '[model]',
      "GGUF file, or a shape of 'ntx synth' such as llama-70b (default: the model that comes with ntx)",
    )
    .option('--type <type>', 'type of the weights of a shape', 'Q4_K_M')
    .option(
      '--rows <count>',
      'rows of a pass that are to be fast: sequences decoded together',
      wholeValue('--rows', 1),
      1,
    )
    .option(
      '--batch <count>',
      'rows of one pass of a prompt (default: 512 on GPUs, 256 on CPUs)',
      wholeValue('--batch', 1, 2 ** 16),
    )
    .option('--machine <file>', 'plan for a described machine: a JSON file, or a name (see docs/placement.md)')
    .option('--no-cpu', 'without units that the CPU computes out of RAM')
    .option('--json', 'the plan and its explanation as JSON')
    .option('--svg <file>', 'draw a pass')
    .option('--html <file>', 'a page with a pass of every number of rows');
  addBudgetOptions(addBackendOptions(addContextOption(command))).action(plan);
}

async function plan(path: string | undefined, flags: PlanFlags): Promise<void> {
  const { parseBudget } = await import('../placement/budget.js');
  const { planFor } = await import('../placement/plan-for.js');
  const { explain } = await import('../placement/explain.js');
  const { cpuAloneSeconds } = await import('../placement/cpu-alone.js');
  const vram = flags.vram === undefined ? undefined : parseBudget('--vram', flags.vram);
  const ram = flags.ram === undefined ? undefined : parseBudget('--ram', flags.ram);
  const planned = await openPlanned(path, flags.type);
  const { gguf, model } = planned;
  const { machine, disks, memories } = await machineOf(planned, flags);
  const sizes = await sizesOf(model, machine, flags);
  const { rows, threads, cpu: cpuComputes } = flags;
  const options = { sizes, memories, vram, ram, rows, disks, threads, cpuComputes };
  const placement = planFor(gguf, model, machine, options);
  const explanation = explain(model, machine, options, placement, cpuAloneSeconds(gguf, model, machine, options));
  const text = planText(explanation);
  if (flags.json) printJson({ ...explanation, plan: placement.answer.plan, budgets: placement.budgets }, 1);
  else print(text);
  if (flags.svg === undefined && flags.html === undefined) return;
  const { planPicture } = await import('../placement/plan-picture.js');
  const { drawHtml, drawSvg } = await import('../placement/picture.js');
  const pictures = placement.answer.plan.schedules.map((_, index) => planPicture(model, machine, placement, index));
  const draw = async (file: string, content: string) => {
    await writeText(file, content);
    note(file);
  };
  if (flags.svg !== undefined) await draw(flags.svg, drawSvg(pictures[explanation.wanted]));
  if (flags.html !== undefined) await draw(flags.html, drawHtml(`Plan of ${explanation.model}`, pictures, text));
}

async function openPlanned(path: string | undefined, type: string): Promise<Planned> {
  const { existsSync } = await import('node:fs');
  const { SHAPES } = await import('../synth/shapes.js');
  if (path !== undefined && Object.hasOwn(SHAPES, path) && !existsSync(path)) {
    const { shapeModel } = await import('../synth/shape-model.js');
    return { ...shapeModel(path, type), isReal: false };
  }
  const { openGguf } = await import('../gguf/open.js');
  const { EMBEDDED_MODEL, readModel } = await import('../open-model.js');
  const gguf = await openGguf(path ?? EMBEDDED_MODEL);
  return { gguf, model: await readModel(gguf), isReal: true };
}

interface PlannedMachine {
  readonly machine: Machine;
  readonly disks: readonly number[];
  readonly memories: Memories;
}

/** The described machine, or this one. */
async function machineOf({ gguf, model, isReal }: Planned, flags: PlanFlags): Promise<PlannedMachine> {
  const { memoriesHere, memoriesOf } = await import('../placement/plan-for.js');
  if (flags.machine !== undefined) {
    const { readMachine } = await import('../placement/machine-json.js');
    const machine = await readMachine(flags.machine);
    return { machine, disks: gguf.files.map(() => 0), memories: memoriesOf(machine) };
  }
  const { createBackend } = await import('../backend/index.js');
  const { EMBEDDED_MODEL } = await import('../open-model.js');
  const { machineFor } = await import('../placement/machine-for.js');
  const { typesOf } = await import('../placement/build-request.js');
  const backend = await createBackend(flags);
  try {
    // A shape is taken to lie where ntx does.
    const files = isReal ? gguf.files.map((file) => file.path) : [EMBEDDED_MODEL];
    const memories = await memoriesHere(backend);
    const known = await machineFor({ backend, files, types: typesOf(model), onProgress: showProbe });
    return { machine: known.machine, disks: known.disks, memories };
  } finally {
    await backend.dispose();
  }
}

/** As loading would choose them, with room for the rows that are asked for. */
async function sizesOf({ config }: Model, { device }: Machine, flags: PlanFlags): Promise<PassSizes> {
  const { passSizes } = await import('../engine.js');
  const sizes = passSizes(config, device, { context: flags.context, maxRows: flags.batch });
  return {
    ...sizes,
    maxRows: Math.max(flags.rows, sizes.maxRows),
    maxOutputs: Math.max(flags.rows, sizes.maxOutputs),
  };
}
