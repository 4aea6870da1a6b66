import type { LanguageModel } from '../language-model.js';
import type { LoadModelOptions } from '../options.js';
import { showProbe } from './measure.js';
import { note } from './output.js';
import { Progress, type Work } from './progress.js';

const TIERS = {
  device: { title: 'loading VRAM', unit: 'bytes' },
  host: { title: 'loading RAM', unit: 'bytes' },
  disk: { title: 'checking disk', unit: 'bytes' },
} as const satisfies Record<string, Work>;
const KERNELS: Work = { title: 'compiling', unit: 'pieces' };

/**
 * Loads a model (the embedded one without a path), with progress bars on a terminal when it takes over a second: of each tier's
 * bytes, then of the kernels where the backend compiles any.
 */
export async function loadWithProgress(path: string | undefined, options: LoadModelOptions): Promise<LanguageModel> {
  const { loadModel } = await import('../engine.js');
  const progress = new Progress();
  const onProgress: LoadModelOptions['onProgress'] = ({ tier, loadedBytes, totalBytes }) =>
    progress.update(TIERS[tier], loadedBytes, totalBytes);
  const onKernels: LoadModelOptions['onKernels'] = (compiled, total) => progress.update(KERNELS, compiled, total);
  try {
    const onBackend = (reason: string) => note(`ntx: ${reason}`);
    const model = await loadModel(path, { ...options, onProgress, onKernels, onBackend, onMeasure: showProbe });
    noteSlowBackend(model, options);
    return model;
  } finally {
    progress.end();
  }
}

/** Nobody chose it, and a real model would take minutes a token. */
function noteSlowBackend({ device }: LanguageModel, { backend = 'auto' }: LoadModelOptions): void {
  if (device.backend !== 'reference' || backend !== 'auto') return;
  note('ntx: the slow reference backend computes: there is no other here (`ntx doctor` says what is missing)');
}

/** Text gets worse beyond what a model was trained for, and nothing else would tell why. */
export function noteLongContext({ context, config }: LanguageModel): void {
  if (context <= config.trainedContext) return;
  note(`ntx: the context of ${context} tokens is longer than the ${config.trainedContext} the model was trained for`);
}
