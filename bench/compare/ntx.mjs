// One round of ntx in a process of its own: node bench/compare/ntx.mjs ROUND, which is JSON. Prints JSON.
import { measure } from './measure.mjs';

const round = JSON.parse(process.argv[2]);

async function load() {
  const { loadModel } = await import('../../dist/index.js');
  const { backend, path, promptTokens, tokens, threads } = round;
  const context = Math.max(promptTokens, tokens + 1);
  const model = await loadModel(path, { backend, context, ...(backend === 'cpu' ? { threads } : {}) });
  const { sequence } = model;
  return {
    facts: { engine: 'ntx', device: model.device.name },
    clear: async () => sequence.truncate(0),
    prompt: (list) => sequence.extend(list),
    async decode(first, count) {
      let output = await sequence.extend(first);
      const started = performance.now();
      // The likeliest one, as the other side takes it.
      for (let i = 0; i < count; i++) output = await sequence.extend([output.tokens[0]]);
      return (1000 * count) / (performance.now() - started);
    },
    dispose: () => model.dispose(),
  };
}

console.log(JSON.stringify(await measure(load, round)));
