import { Argument, type Command, Option } from 'commander';
import { WEIGHT_TYPES } from '../synth/recipe.js';
import { SHAPES } from '../synth/shapes.js';
import { interruptible } from './interrupt.js';
import { bytesText, note, paint } from './output.js';
import { Progress, type Work } from './progress.js';
import { wholeValue } from './values.js';

const WRITING: Work = { title: 'writing', unit: 'bytes' };

interface SynthFlags {
  readonly type: string;
  readonly seed: number;
  readonly vocabulary?: number;
  readonly context?: number;
  readonly layers?: number;
  readonly shards?: number;
  readonly force?: boolean;
}

export function addSynth(program: Command): void {
  const shape = new Argument('<shape>', 'whose model').choices(Object.keys(SHAPES)).argParser(asGiven);
  const type = new Option('--type <type>', 'type of the weights').choices(WEIGHT_TYPES).argParser(asGiven);
  program
    .command('synth')
    .summary('write a GGUF file of a real shape with random weights')
    .description(
      'Writes a GGUF file of a real shape with random weights: for measurements. It is as fast as the real model.',
    )
    .addArgument(shape)
    .argument('<file>', 'the file to write')
    .addOption(type.default('Q4_K'))
    .option('--seed <number>', 'same seed, same bytes', wholeValue('--seed', 0, 2 ** 32 - 1), 0)
    .option('--layers <count>', "layers (default: the shape's)", wholeValue('--layers', 1))
    .option('--vocabulary <count>', "tokens of the vocabulary (default: the shape's)", wholeValue('--vocabulary', 1))
    .option('--context <count>', "trained context (default: the shape's)", wholeValue('--context', 1))
    .option('--shards <count>', 'files to split it into (default: 1)', wholeValue('--shards', 1))
    .option('--force', 'replace files that exist')
    .action(synth);
}

async function synth(shape: string, path: string, flags: SynthFlags): Promise<void> {
  const { synthesize } = await import('../synth/synthesize.js');
  const started = performance.now();
  const progress = new Progress();
  const options = { ...flags, shape };
  const result = await interruptible((signal) =>
    synthesize(path, { ...options, signal }, (written, total) => progress.update(WRITING, written, total)),
  ).finally(() => progress.end());
  for (const sentence of result.notes) note(sentence);
  const seconds = (performance.now() - started) / 1000;
  note(paint.dim(`${bytesText(result.bytes)} in ${seconds.toFixed(1)} s (${bytesText(result.bytes / seconds)}/s)`));
  process.stdout.write(result.paths.map((written) => `${written}\n`).join(''));
}

/** Names are checked where the library does; the lists are for help and completion. */
function asGiven(text: string): string {
  return text;
}
