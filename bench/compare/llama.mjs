// One round of node-llama-cpp in a process of its own: node bench/compare/llama.mjs ROUND, which is JSON. Prints JSON.
import { measure } from './measure.mjs';

const round = JSON.parse(process.argv[2]);

async function load() {
  const { getLlama, LlamaLogLevel } = await import(round.package);
  const { backend, path, promptTokens, tokens, threads } = round;
  const gpu = backend === 'cpu' ? false : backend;
  const llama = await getLlama({ gpu, build: 'never', logLevel: LlamaLogLevel.error });
  const model = await llama.loadModel({ modelPath: path, ...(gpu === false ? {} : { gpuLayers: 'max' }) });
  const contextSize = Math.max(promptTokens, tokens + 1) + 1;
  const context = await model.createContext({ contextSize, batchSize: 512, threads, flashAttention: gpu !== false });
  const sequence = context.getSequence();
  return {
    facts: { engine: 'node-llama-cpp', llamaCpp: llama.llamaCppRelease?.release ?? null, gpu: llama.gpu },
    clear: () => sequence.clearHistory(),
    prompt: (list) => sequence.evaluateWithoutGeneratingNewTokens(list),
    async decode(first, count) {
      let started = 0;
      let done = -1;
      for await (const _ of sequence.evaluate(first, { temperature: 0, yieldEogToken: true })) {
        if (++done === 0) started = performance.now();
        if (done === count) break;
      }
      return (1000 * count) / (performance.now() - started);
    },
    dispose: () => llama.dispose(),
  };
}

console.log(JSON.stringify(await measure(load, round)));
