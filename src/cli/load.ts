import type { LanguageModel } from '../language-model.js';
import type { LoadModelOptions } from '../options.js';
import { note } from './output.js';
import { Progress } from './progress.js';

/** Loads a model (the embedded one without a path), with a progress bar on a terminal when it takes over a second. */
export async function loadWithProgress(path: string | undefined, options: LoadModelOptions): Promise<LanguageModel> {
  const { loadModel } = await import('../engine.js');
  const progress = new Progress('loading');
  const onProgress: LoadModelOptions['onProgress'] = ({ loadedBytes, totalBytes }) =>
    progress.update(loadedBytes, totalBytes);
  try {
    return await loadModel(path, { ...options, onProgress });
  } finally {
    progress.end();
  }
}

/** Text gets worse beyond what a model was trained for, and nothing else would tell why. */
export function noteLongContext({ context, config }: LanguageModel): void {
  if (context <= config.trainedContext) return;
  note(`ntx: the context of ${context} tokens is longer than the ${config.trainedContext} the model was trained for`);
}
