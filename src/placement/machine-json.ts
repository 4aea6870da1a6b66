// Machine descriptions as JSON: those that ntx measures and keeps, those that come with it, those that people write.
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NtxError } from '../errors.js';
import { GGML_TYPES, type GgmlType } from '../gguf/types.js';
import { Fields } from './json-fields.js';
import {
  type CopyRate,
  type CpuRates,
  type DeviceDescription,
  type DiskDescription,
  type HostDescription,
  type LinkDescription,
  MACHINE_FORMAT,
  type Machine,
  type ProductRate,
  type ProductRates,
} from './machine.js';

const SHIPPED = fileURLToPath(new URL('../../machines/', import.meta.url));
const BACKENDS = ['cuda', 'webgpu', 'cpu', 'reference'] as const;
const KINDS = ['cpu', 'discrete-gpu', 'integrated-gpu', 'software-gpu'] as const;
const EXBIBYTE = 2 ** 60;

/** Names of the descriptions that come with ntx: "rtx3090-pcie3x8-48gb". */
export function shippedMachines(): string[] {
  const names = readdirSync(SHIPPED).filter((name) => name.endsWith('.json'));
  return names.map((name) => basename(name, '.json')).sort();
}

/** A description by its path, or by its name among those that come with ntx. Throws NtxError('io' or 'bad-file'). */
export async function readMachine(pathOrName: string): Promise<Machine> {
  const shipped = shippedMachines().includes(pathOrName) && !existsSync(pathOrName);
  const path = shipped ? `${SHIPPED}${pathOrName}.json` : pathOrName;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const advice = `give the path of a JSON file, or one of ${shippedMachines().join(', ')}`;
    throw new NtxError('io', `machine ${path}: ${(error as Error).message}`, advice, { cause: error });
  }
  return parseMachine(text, path);
}

/**
 * Reads and checks a description.
 * @param source what a sentence about a mistake calls it
 * @throws NtxError('bad-file') with a sentence for each mistake
 */
export function parseMachine(text: string, source: string): Machine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new NtxError('bad-file', `${source} is no JSON: ${(error as Error).message}`, 'mend it', { cause: error });
  }
  const fields = new Fields(value);
  const machine = machineOf(fields);
  if (fields.mistakes.length === 0) return machine;
  const advice = 'mend these; the descriptions in the folder machines of ntx are examples';
  throw new NtxError('bad-file', `${source}: ${fields.mistakes.join('; ')}`, advice);
}

function machineOf(fields: Fields): Machine {
  const format = fields.number('format', { least: MACHINE_FORMAT, most: MACHINE_FORMAT });
  const machine = {
    format: format as typeof MACHINE_FORMAT,
    name: fields.text('name'),
    date: fields.text('date'),
    assumptions: fields.texts('assumptions'),
    device: deviceOf(fields.part('device')),
    link: fields.nullablePart('link', linkOf),
    host: hostOf(fields.part('host')),
    disks: fields.parts('disks').map(diskOf),
    corrections: fields.optionalParts('corrections').map(correctionOf),
  };
  fields.done();
  if (machine.device.hostIsDevice !== (machine.link === null)) {
    fields.mistake('link: expected null exactly where device.hostIsDevice is true');
  }
  return machine;
}

function deviceOf(fields: Fields): DeviceDescription {
  const device = {
    backend: fields.choice('backend', BACKENDS),
    name: fields.text('name'),
    driver: fields.nullableText('driver'),
    kind: fields.choice('kind', KINDS),
    memoryBytes: fields.nullableNumber('memoryBytes', { least: 0, most: EXBIBYTE }),
    hostIsDevice: fields.flag('hostIsDevice'),
    copiesOverlapKernels: fields.flag('copiesOverlapKernels'),
    sharesPages: fields.flag('sharesPages'),
    readRate: rate(fields, 'readRate'),
    launchSeconds: seconds(fields, 'launchSeconds'),
    passSeconds: seconds(fields, 'passSeconds'),
    products: productsOf(fields.part('products')),
  };
  fields.done();
  return device;
}

function linkOf(fields: Fields): LinkDescription {
  const link = {
    copies: copiesOf(fields, 'copies', fields.parts('copies')),
    writeCombined: fields.isNull('writeCombined')
      ? null
      : copiesOf(fields, 'writeCombined', fields.parts('writeCombined')),
    copyAfterPassSeconds: seconds(fields, 'copyAfterPassSeconds'),
    passAfterCopySeconds: seconds(fields, 'passAfterCopySeconds'),
    handOverSeconds: seconds(fields, 'handOverSeconds'),
  };
  fields.done();
  return link;
}

function hostOf(fields: Fields): HostDescription {
  const host = {
    cpu: fields.text('cpu'),
    cores: fields.number('cores', { least: 1, most: 65_536, whole: true }),
    memoryBytes: fields.number('memoryBytes', { least: 1, most: EXBIBYTE }),
    readRate: rate(fields, 'readRate'),
    withLink: fields.nullablePart('withLink', (both) => {
      const rates = { readRate: rate(both, 'readRate'), linkRate: rate(both, 'linkRate') };
      const type = both.optionalChoice('type', GGML_TYPES);
      both.done();
      return { ...rates, ...(type && { type }) };
    }),
    products: fields.parts('products').map(cpuRatesOf),
  };
  fields.ascending('products', host.products, ({ threads }) => threads);
  fields.done();
  return host;
}

function cpuRatesOf(fields: Fields): CpuRates {
  const rates = {
    threads: fields.number('threads', { least: 1, most: 65_536, whole: true }),
    products: productsOf(fields.part('products')),
  };
  fields.done();
  return rates;
}

function diskOf(fields: Fields): DiskDescription {
  const disk = {
    mount: fields.text('mount'),
    device: fields.nullableText('device'),
    fileSystem: fields.nullableText('fileSystem'),
    direct: fields.flag('direct'),
    alignment: fields.number('alignment', { least: 1, most: 2 ** 24, powerOfTwo: true }),
    depth: fields.number('depth', { least: 1, most: 4096, whole: true }),
    blockBytes: fields.number('blockBytes', { least: 512, most: 2 ** 30, whole: true }),
    rate: rate(fields, 'rate'),
    requestSeconds: seconds(fields, 'requestSeconds'),
  };
  fields.done();
  return disk;
}

function correctionOf(fields: Fields): Machine['corrections'][number] {
  const correction = {
    date: fields.text('date'),
    resource: fields.text('resource'),
    factor: fields.number('factor', { least: 1e-6, most: 1e6 }),
  };
  fields.done();
  return correction;
}

function productsOf(fields: Fields): ProductRates {
  const products: Partial<Record<GgmlType, ProductRate[]>> = {};
  for (const name of fields.names()) {
    const type = GGML_TYPES.find((known) => known === name);
    if (type === undefined) {
      fields.mistake(`${fields.at(name)}: expected a type out of ${GGML_TYPES.join(', ')}`);
      continue;
    }
    const points = fields.parts(type).map((point) => {
      const found = { rows: point.number('rows', { least: 1, most: 2 ** 24, whole: true }), rate: rate(point, 'rate') };
      point.done();
      return found;
    });
    requireSome(fields, type, points);
    fields.ascending(type, points, ({ rows }) => rows);
    products[type] = points;
  }
  return products;
}

function copiesOf(fields: Fields, name: string, parts: readonly Fields[]): CopyRate[] {
  const points = parts.map((point) => {
    const found = { bytes: point.number('bytes', { least: 1, most: 2 ** 40, whole: true }), rate: rate(point, 'rate') };
    point.done();
    return found;
  });
  requireSome(fields, name, points);
  fields.ascending(name, points, ({ bytes }) => bytes);
  return points;
}

function requireSome(fields: Fields, name: string, points: readonly unknown[]): void {
  if (points.length === 0) fields.mistake(`${fields.at(name)}: expected at least one entry, got none`);
}

function rate(fields: Fields, name: string): number {
  return fields.number(name, { least: 1, most: 1e16, unit: 'bytes a second' });
}

function seconds(fields: Fields, name: string): number {
  return fields.number(name, { least: 0, most: 1000, unit: 'seconds' });
}
