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
    const model = await loadModel(path, { ...options, onProgress });
    const { trainedContext } = model.config;
    if (model.context > trainedContext) {
      note(`ntx: the context of ${model.context} tokens is longer than the ${trainedContext} the model was trained for`);
    }
    return model;
  } finally {
    progress.end();
  }
}
