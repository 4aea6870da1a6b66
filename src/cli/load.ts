import type { LanguageModel } from '../language-model.js';
import type { LoadModelOptions } from '../options.js';
import { showProbe } from './measure.js';
import { note } from './output.js';
import { bytesLine, KERNELS_LINE, Progress } from './progress.js';

/**
 * Loads a model (the embedded one without a path), with a progress bar on a terminal when it takes over a second: of the file,
 * then of the kernels where the backend compiles any.
 */
export async function loadWithProgress(path: string | undefined, options: LoadModelOptions): Promise<LanguageModel> {
  const { loadModel } = await import('../engine.js');
  const started = performance.now();
  let progress = new Progress(bytesLine('loading'), started);
  let compiles = false;
  const onProgress: LoadModelOptions['onProgress'] = ({ loadedBytes, totalBytes }) =>
    progress.update(loadedBytes, totalBytes);
  const onKernels: LoadModelOptions['onKernels'] = (compiled, total) => {
    if (!compiles) {
      compiles = true;
      progress.end();
      progress = new Progress(KERNELS_LINE, started);
    }
    progress.update(compiled, total);
  };
  try {
    return await loadModel(path, { ...options, onProgress, onKernels, onMeasure: showProbe });
  } finally {
    progress.end();
  }
}

/** Text gets worse beyond what a model was trained for, and nothing else would tell why. */
export function noteLongContext({ context, config }: LanguageModel): void {
  if (context <= config.trainedContext) return;
  note(`ntx: the context of ${context} tokens is longer than the ${config.trainedContext} the model was trained for`);
}
