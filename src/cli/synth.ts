import type { Command } from 'commander';
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
  program
    .command('synth')
    .summary('write a GGUF file of a real shape with random weights')
    .description(
      'Writes a GGUF file of a real shape with random weights: for measurements. It is as fast as the real model.',
    )
    .argument('<shape>', "the model's shape (listed below)")
    .argument('<file>', 'the file to write')
    .option('--type <type>', 'type of the weights (listed below)', 'Q4_K')
    .option('--seed <number>', 'same seed, same bytes', wholeValue('--seed', 0, 2 ** 32 - 1), 0)
    .option('--layers <count>', "layers (default: the shape's)", wholeValue('--layers', 1))
    .option('--vocabulary <count>', "tokens of the vocabulary (default: the shape's)", wholeValue('--vocabulary', 1))
    .option('--context <count>', "trained context (default: the shape's)", wholeValue('--context', 1))
    .option('--shards <count>', 'files to split it into (default: 1)', wholeValue('--shards', 1))
    .option('--force', 'replace files that exist')
    .addHelpText('after', `\n${list('Shapes', Object.keys(SHAPES))}\n${list('Types', WEIGHT_TYPES)}`)
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

/** "Shapes: a, b, c", wrapped to 78 columns. */
function list(title: string, names: readonly string[]): string {
  const lines = [`${title}:`];
  for (const [index, name] of names.entries()) {
    const word = index + 1 < names.length ? `${name},` : name;
    if (lines[lines.length - 1].length + word.length >= 78) lines.push('  ');
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.join('\n');
}
