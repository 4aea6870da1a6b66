// What both sides do: load, a warm-up, then prompts and decodes of the same random tokens.

/** `round`: { promptTokens, tokens, repeat, vocabulary }; `engine`: { clear(), prompt(tokens), decode(first, count) }. */
export async function measure(load, round) {
  const started = performance.now();
  const engine = await load();
  const loadSeconds = (performance.now() - started) / 1000;
  const random = (count, seed) =>
    Array.from({ length: count }, (_, i) => (i * 7919 + seed * 104_729 + 3) % round.vocabulary);
  await engine.prompt(random(32, 0));
  let [prompt, decode] = [0, 0];
  for (let repeat = 1; repeat <= round.repeat; repeat++) {
    await engine.clear();
    const began = performance.now();
    await engine.prompt(random(round.promptTokens, repeat));
    prompt = Math.max(prompt, (1000 * round.promptTokens) / (performance.now() - began));
    await engine.clear();
    decode = Math.max(decode, await engine.decode(random(1, repeat), round.tokens));
  }
  await engine.dispose();
  return { loadSeconds, promptTokensPerSecond: prompt, decodeTokensPerSecond: decode, ...engine.facts };
}
