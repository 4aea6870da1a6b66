import type { Backend, DeviceInfo, PassSizes } from './backend/backend.js';
import { createCpuBackend } from './backend/cpu/cpu.js';
import { createBackend } from './backend/index.js';
import { type Choice, type ChosenPlan, choosePlan } from './choose-plan.js';
import { NtxError } from './errors.js';
import { LanguageModel } from './language-model.js';
import { createForward, type LoadedForward } from './load-forward.js';
import type { ModelConfig } from './model/index.js';
import { EMBEDDED_MODEL, type OpenedModel, openModel } from './open-model.js';
import type { LoadModelOptions } from './options.js';
import type { KnownMachine } from './placement/machine-for.js';
import type { ReadSize } from './streaming/open-reader.js';

const DEFAULT_CONTEXT = 4096;
/** Rows of a prompt's pass: a GPU needs more of them to be busy, and a CPU's memory is better used for weights. */
const DEFAULT_MAX_ROWS = { cpu: 256, gpu: 512 };
const DEFAULT_MAX_OUTPUTS = 8;

/**
 * Loads a GGUF model (the embedded one without a path) and makes it ready to run.
 * Throws NtxError with a sentence and advice; nothing stays allocated then.
 */
export async function loadModel(path: string = EMBEDDED_MODEL, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const opened = await openModel(path, options);
  try {
    const device = await createBackend(options);
    const model = await loadOn(device, opened, options);
    if (model) return model;
    options.onBackend?.(`the processor computes: ${device.device.name} would be slower with what does not fit into it`);
    const cpu = await createBackend({ ...options, backend: 'cpu' });
    return (await loadOn(cpu, opened, { ...options, backend: 'cpu', vram: undefined }))!;
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** null: nobody asked for this backend, and the processor alone would be faster. The backend is disposed then, and in errors. */
async function loadOn(backend: Backend, opened: OpenedModel, options: LoadModelOptions): Promise<LanguageModel | null> {
  try {
    const sizes = passSizes(opened.model.config, backend.device, options);
    const choice = await choosePlan(opened, backend, sizes, options);
    if (choice.plan && mayLeave(backend, options) && choice.plan.isCpuFaster()) {
      await backend.dispose();
      return null;
    }
    const { chosen, ...loaded } = await loadByPlan(opened, backend, sizes, options, choice);
    const dispose = () => loaded.close().then(() => backend.dispose().then(() => opened.close()));
    return new LanguageModel(opened, backend, loaded, chosen, dispose);
  } catch (error) {
    await backend.dispose();
    throw error;
  }
}

function mayLeave({ device }: Backend, { backend = 'auto', adapter, pure }: LoadModelOptions): boolean {
  return backend === 'auto' && adapter === undefined && pure === undefined && !device.hostIsDevice;
}

interface PlannedForward extends LoadedForward {
  /** null: all weights are resident. */
  readonly chosen: ChosenPlan | null;
}

/** Another program may take memory between the plan and the load: then a second plan is made, of what is free. */
async function loadByPlan(
  opened: OpenedModel,
  backend: Backend,
  sizes: PassSizes,
  options: LoadModelOptions,
  first: Choice,
): Promise<PlannedForward> {
  const load = async ({ plan: chosen, tableFits: tableOnDevice }: Choice) => {
    const plan = chosen?.placement.answer.plan;
    const readSize = chosen ? readSizeOf(chosen.known) : undefined;
    const threads = chosen?.placement.cpuThreads;
    const createCpu = () => createCpuBackend({ ...(threads !== undefined && { threads }), besideDevice: true });
    const own = { ...options, plan, readSize, createCpu, tableOnDevice };
    return { ...(await createForward(opened, backend, chosen?.sizes ?? sizes, own)), chosen };
  };
  try {
    return await load(first);
  } catch (error) {
    if (!(error instanceof NtxError) || error.code !== 'no-memory') throw error;
    const second = await choosePlan(opened, backend, sizes, options, true);
    if (second.plan === null) throw error;
    return load(second);
  }
}

/** In which the disks were found fastest; where there are several, the one with most bytes in flight. */
function readSizeOf({ machine, disks }: KnownMachine): ReadSize {
  const sizes = disks.map((disk) => ({ depth: machine.disks[disk].depth, maxBytes: machine.disks[disk].blockBytes }));
  return sizes.reduce((most, size) => (size.depth * size.maxBytes > most.depth * most.maxBytes ? size : most));
}

/** The sizes of passes that options ask for, on a kind of device. Throws NtxError('bad-argument'). */
export function passSizes(
  config: ModelConfig,
  { kind }: Pick<DeviceInfo, 'kind'>,
  options: LoadModelOptions,
): PassSizes {
  const whole = (name: 'context' | 'maxRows' | 'maxOutputs', fallback: number) => {
    const value = options[name] ?? fallback;
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 24) {
      throw new NtxError(
        'bad-argument',
        `${name}: expected a whole number from 1 to 2^24, got ${value}`,
        'give another',
      );
    }
    return value;
  };
  const context = whole('context', Math.min(config.trainedContext, DEFAULT_CONTEXT));
  const maxRows = Math.min(whole('maxRows', kind === 'cpu' ? DEFAULT_MAX_ROWS.cpu : DEFAULT_MAX_ROWS.gpu), context);
  return { context, slots: 1, maxRows, maxOutputs: whole('maxOutputs', DEFAULT_MAX_OUTPUTS) };
}
