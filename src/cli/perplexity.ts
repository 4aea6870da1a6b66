import type { Command } from 'commander';
import { interruptible } from './interrupt.js';
import { loadWithProgress, noteLongContext } from './load.js';
import { addBackendOptions, addDriveOption, addMemoryOptions, loadOptions, type ModelFlags } from './model-options.js';
import { note, paint, print, printJson, rateText } from './output.js';
import { readText } from './prompt.js';
import { wholeValue } from './values.js';

interface PerplexityFlags extends ModelFlags {
  readonly window: number;
  readonly windows: number;
  readonly json?: boolean;
}

/** Rows and outputs of a pass. */
const ROWS = 256;

export function addPerplexity(program: Command): void {
  const command = program
    .command('perplexity')
    .summary('measure how well a model predicts a text')
    .description('Measures how well a model predicts a text: exp of the mean negative log-likelihood of its tokens.')
    .argument('<model>', 'GGUF file')
    .argument('<text>', 'text file')
    .option(
      '--window <tokens>',
      'tokens of a window; its second half is scored',
      wholeValue('--window', 4, 2 ** 20),
      512,
    )
    .option('--windows <count>', 'windows from the start of the text', wholeValue('--windows', 1), 20)
    .option('--json', 'the result as JSON');
  addMemoryOptions(addDriveOption(addBackendOptions(command))).action(run);
}

async function run(path: string, file: string, flags: PerplexityFlags): Promise<void> {
  const text = await readText(file);
  const { perplexity } = await import('../perplexity.js');
  await interruptible(async (signal) => {
    const sizes = { context: flags.window, maxRows: ROWS, maxOutputs: ROWS };
    const model = await loadWithProgress(path, { ...loadOptions(flags), ...sizes, signal });
    try {
      const started = performance.now();
      const onWindow = (done: number, total: number, sofar: number) => {
        if (process.stderr.isTTY) process.stderr.write(`\rwindow ${done} of ${total}: ${sofar.toFixed(4)} `);
      };
      const result = await perplexity(model, text, { window: flags.window, windows: flags.windows, signal, onWindow });
      if (process.stderr.isTTY) process.stderr.write('\n');
      const seconds = (performance.now() - started) / 1000;
      noteLongContext(model);
      if (flags.json) {
        printJson({ model: path, text: file, window: flags.window, ...result, seconds });
        return;
      }
      print(`perplexity ${result.perplexity.toFixed(4)} +- ${(result.perplexity * result.standardError).toFixed(4)}`);
      const { windows, scoredTokens } = result;
      const rate = rateText((windows * flags.window) / seconds);
      note(paint.dim(`${windows} windows of ${flags.window} tokens, ${scoredTokens} scored, ${rate} tok/s`));
    } finally {
      await model.dispose();
    }
  });
}
