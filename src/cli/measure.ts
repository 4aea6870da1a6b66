import type { Command } from 'commander';
import type { GgmlType } from '../gguf/types.js';
import type { Machine, ProductRates } from '../placement/machine.js';
import { interruptible } from './interrupt.js';
import { addBackendOptions, type ModelFlags } from './model-options.js';
import { bytesText, note, paint, print, printJson, rateText, table } from './output.js';

interface MeasureFlags extends ModelFlags {
  readonly json?: boolean;
}

export function addMeasure(program: Command): void {
  const command = program
    .command('measure')
    .summary('measure the links and memories of this machine, for plans')
    .description(
      'Measures device, link, processor, host memory and the disk of a model, in at most ten seconds. Plans are made ' +
        'from it; it is kept, and measured again only by this command, or for another device, driver or disk.',
    )
    .argument('[model]', 'GGUF file whose disk and types are measured (default: the model that comes with ntx)')
    .option('--json', 'a machine description, as `ntx plan --machine` takes it');
  addBackendOptions(command).action(measure);
}

async function measure(path: string | undefined, flags: MeasureFlags): Promise<void> {
  const { createBackend } = await import('../backend/index.js');
  const { EMBEDDED_MODEL, openModel } = await import('../open-model.js');
  const { machineFor } = await import('../placement/machine-for.js');
  const { typesOf } = await import('../placement/build-request.js');
  const { gguf, model } = await openModel(path ?? EMBEDDED_MODEL);
  const started = performance.now();
  await interruptible(async (signal) => {
    const backend = await createBackend(flags);
    try {
      const known = await machineFor({
        backend,
        files: gguf.files.map((file) => file.path),
        types: typesOf(model),
        allTypes: true,
        refresh: true,
        signal,
        onProgress: showProbe,
      });
      if (flags.json) printJson(known.machine, 1);
      else print(asText(known.machine));
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      note(paint.dim(`measured in ${seconds} s; ${known.path === null ? 'not kept' : `kept in ${known.path}`}`));
    } finally {
      await backend.dispose();
    }
  });
}

/** Which probe runs, on a terminal. */
export function showProbe(probe: string, index: number, count: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[Kmeasuring ${probe} (${index + 1} of ${count}) `);
  if (process.stderr.isTTY && index + 1 === count) process.stderr.write('\r\x1b[K');
}

function asText(machine: Machine): string {
  const { device, link, host, disks, assumptions } = machine;
  const withLink =
    host.withLink && `${rate(host.withLink.readRate)} of products beside ${rate(host.withLink.linkRate)} on the link`;
  const facts = [
    ['device reads', rate(device.readRate), device.hostIsDevice ? '' : memoryText(device.memoryBytes)],
    ['an op', microseconds(device.launchSeconds)],
    ['a pass', microseconds(device.passSeconds), 'from its submit to candidates in JavaScript'],
    ['host memory', rate(host.readRate), `${host.cores} cores, ${bytesText(host.memoryBytes)}`],
    ...(withLink ? [['', withLink]] : []),
    ...disks.map((disk) => {
      const way = `${disk.direct ? 'direct' : 'page cache'}, ${disk.depth} x ${bytesText(disk.blockBytes)} in flight`;
      return [`disk ${disk.mount}`, rate(disk.rate), `${disk.device ?? ''} ${disk.fileSystem ?? ''}, ${way}`];
    }),
  ];
  const sections = [machine.name, table(facts), productsText(machine)];
  if (link) sections.push(linkText(link));
  if (assumptions.length > 0) sections.push(assumptions.map((sentence) => `- ${sentence}\n`).join(''));
  return sections.join('\n');
}

function memoryText(bytes: number | null): string {
  return bytes === null ? 'says nothing of its memory' : bytesText(bytes);
}

/** One row a type and place, one column a number of rows. */
function productsText({ device, host }: Machine): string {
  const places: [string, ProductRates][] = host.products.map(({ threads, products }) => [
    `${threads} threads`,
    products,
  ]);
  if (!device.hostIsDevice || places.length === 0) places.unshift(['device', device.products]);
  const types = Object.keys(device.products) as GgmlType[];
  const rows = [
    ...new Set(
      places.flatMap(([, products]) => types.flatMap((type) => products[type] ?? [])).map((point) => point.rows),
    ),
  ];
  rows.sort((a, b) => a - b);
  const cells = types.flatMap((type) =>
    places.flatMap(([place, products]) => {
      const points = products[type];
      if (!points) return [];
      const at = (count: number) => points.find((point) => point.rows === count)?.rate;
      return [[type, place, ...rows.map((count) => gigabytes(at(count)))]];
    }),
  );
  const heads = ['products, GB/s', 'rows:', ...rows.map(String)];
  return table(
    [heads, ...cells],
    rows.map((_, index) => index + 2),
  );
}

function linkText(link: NonNullable<Machine['link']>): string {
  const sizes = link.copies.map(({ bytes }) => bytesText(bytes));
  const line = (name: string, copies: typeof link.copies) => [name, ...copies.map((copy) => gigabytes(copy.rate))];
  const rows = [['link, GB/s', ...sizes], line('pinned', link.copies)];
  if (link.writeCombined) rows.push(line('write-combined', link.writeCombined));
  const waits = [
    ['a copy that waits for a pass', microseconds(link.copyAfterPassSeconds)],
    ['a pass that waits for a copy', microseconds(link.passAfterCopySeconds)],
  ];
  return `${table(
    rows,
    sizes.map((_, index) => index + 1),
  )}\n${table(waits)}`;
}

function rate(perSecond: number): string {
  return `${rateText(perSecond / 1e9)} GB/s`;
}

function gigabytes(perSecond: number | undefined): string {
  return perSecond === undefined ? '' : rateText(perSecond / 1e9);
}

function microseconds(seconds: number): string {
  return `${rateText(1e6 * seconds)} us`;
}
