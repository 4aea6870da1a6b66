import { generate } from '../dist/generate.js';
import { Sampler, samplerOptions } from '../dist/sampler/index.js';

/** Yields `count` tokens as `ntx run` chooses them, in contexts that begin anew when they are full. */
export async function* generated({ sequence }, count) {
  for (let done = 0; done < count; ) {
    sequence.truncate(0);
    const sampler = new Sampler(samplerOptions({ seed: done }));
    for await (const choice of generate(sequence, [1], { sampler, maxTokens: count - done, endTokens: new Set() })) {
      done++;
      yield choice;
    }
  }
}
