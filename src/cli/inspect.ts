import type { Command } from 'commander';
import { NtxError } from '../errors.js';
import { formatMetadataValue } from '../gguf/metadata.js';
import type { GgufModel, MetadataValue, TensorInfo } from '../gguf/types.js';
import type { Model } from '../model/index.js';
import { bytesText, harmless, paint, print, printJson, table } from './output.js';

/** Of longer arrays only the beginning is shown. */
const SHOWN_ITEMS = 4;
const METADATA_CHARACTERS = 70;

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show what is in a GGUF file')
    .description('Shows metadata, tensors and units of a GGUF file; loads no weights.')
    .argument('<model>', 'GGUF file')
    .option('--json', 'everything as JSON')
    .action(inspect);
}

async function inspect(path: string, flags: { json?: boolean }): Promise<void> {
  const { openGguf } = await import('../gguf/open.js');
  const gguf = await openGguf(path);
  const model = await modelOf(gguf);
  if (flags.json) printJson(asJson(gguf, model), 2);
  else print(asText(gguf, model));
}

/** The model as units, or why ntx cannot run it: a file that is no whole model can be looked at too. */
async function modelOf(gguf: GgufModel): Promise<Model | NtxError> {
  const { readModel } = await import('../open-model.js');
  try {
    return await readModel(gguf);
  } catch (error) {
    if (error instanceof NtxError) return error;
    throw error;
  }
}

function asJson(gguf: GgufModel, model: Model | NtxError): object {
  const metadata = Object.fromEntries(Array.from(gguf.metadata, ([key, value]) => [key, shortened(value)]));
  const { files, version } = gguf;
  const tensors = [...gguf.tensors.values()];
  const common = { files, version, metadata, tensors, types: typeTotals(tensors) };
  if (model instanceof NtxError) return { ...common, runs: false, reason: model.message };
  const units = model.units.map(({ name, bytes, tensors }) => ({ name, bytes, tensors: tensors.map((t) => t.name) }));
  const { embedding, small, config } = model;
  return { ...common, runs: true, config, units, embedding: embedding.name, small: small.map(({ name }) => name) };
}

function shortened(value: MetadataValue): unknown {
  if (!Array.isArray(value) || value.length <= SHOWN_ITEMS) return value;
  return { length: value.length, first: value.slice(0, SHOWN_ITEMS) };
}

function asText(gguf: GgufModel, model: Model | NtxError): string {
  const tensors = [...gguf.tensors.values()];
  const sum = tensors.reduce((bytes, tensor) => bytes + tensor.bytes, 0);
  const metadata = Array.from(gguf.metadata, ([key, value]) => [key, formatMetadataValue(value, METADATA_CHARACTERS)]);
  const totals = Object.entries(typeTotals(tensors)).map(([type, total]) => {
    return [type, `${total.tensors} tensors`, bytesText(total.bytes)];
  });
  const shapes = tensors.map(({ name, type, shape, bytes }) => [name, type, shape.join(' x '), bytesText(bytes)]);
  return [
    section('Files', table(gguf.files.map(({ path, bytes }) => [path, bytesText(bytes)]))),
    section(`Metadata (GGUF version ${gguf.version})`, table(metadata)),
    section('Tensors', table(shapes, [3])),
    section('Types', table([...totals, ['all', `${tensors.length} tensors`, bytesText(sum)]], [1, 2])),
    unitsText(model),
  ].join('\n');
}

function unitsText(model: Model | NtxError): string {
  if (model instanceof NtxError) return section('Units', `ntx cannot run this file: ${model.message}\n`);
  const bytesOf = (tensors: readonly TensorInfo[]) => tensors.reduce((bytes, tensor) => bytes + tensor.bytes, 0);
  const rows = model.units.map(({ name, bytes }) => [name, bytesText(bytes)]);
  rows.push(['token embedding (read row by row)', bytesText(model.embedding.bytes)]);
  rows.push(['norms and biases', bytesText(bytesOf(model.small))]);
  return section('Units', table(rows, [1]));
}

function section(title: string, body: string): string {
  return `${process.stdout.isTTY ? paint.bold(title) : title}\n${harmless(body).replace(/^(?=.)/gm, '  ')}`;
}

function typeTotals(tensors: readonly TensorInfo[]): Record<string, { tensors: number; bytes: number }> {
  const totals: Record<string, { tensors: number; bytes: number }> = {};
  for (const { type, bytes } of tensors) {
    totals[type] ??= { tensors: 0, bytes: 0 };
    totals[type].tensors++;
    totals[type].bytes += bytes;
  }
  return totals;
}
