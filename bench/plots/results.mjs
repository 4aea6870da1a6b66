// Results as the pictures want them, out of every file of bench/results that has them.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RESULTS } from '../save.mjs';

/** { name, each } of every result, sorted by name; a file may hold several. The newest of a name counts. */
function all() {
  const newest = new Map();
  for (const file of readdirSync(RESULTS).sort()) {
    const [, name] = /^\d{4}-\d\d-\d\d-(.*)\.json$/.exec(file) ?? [];
    if (name !== undefined) newest.set(name, JSON.parse(readFileSync(join(RESULTS, file), 'utf8')));
  }
  return Array.from(newest).flatMap(([name, content]) => [content].flat().map((each) => ({ name, each })));
}

const gpuName = (name) => name.replace(/ \(.*\)| HBM3|^NVIDIA /g, '');

/** "H100 80GB, cuda" or "Intel Xeon, 2 threads, avx512" */
export function whereOf({ machine, device }) {
  if (device.kind !== 'cpu') return `${gpuName(device.name)}, ${device.backend}`;
  const [, threads, kernels] = device.name.split(', ');
  return `${machine.cpu.replace(/\(R\)| Processor/g, '')}, ${threads}, ${kernels}`;
}

export const modelOf = ({ model }) => basename(model.path ?? model, '.gguf');

/** Whole models that are resident, with the bandwidth measured beside them. */
export function residentResults() {
  return all()
    .filter(({ each }) => each.readBandwidth > 0 && each.stream === undefined)
    .map(({ each }) => ({
      where: whereOf(each),
      model: modelOf(each),
      bytes: each.bytesPerToken,
      rate: each.decode.best,
      bandwidth: each.readBandwidth,
      share: each.shareOfBandwidth,
    }));
}

/** Plans that were run. */
export function plannedResults() {
  const withCpu = all()
    .filter(({ each }) => each.predicted?.schedules !== undefined)
    .flatMap(({ name, each }) =>
      each.runs.map(({ sequences, tokensPerSecond }) => ({
        name: `${name} ${sequences}`,
        where: whereOf(each),
        model: modelOf(each),
        predicted: each.predicted.schedules.find(({ maxRows }) => sequences <= maxRows).seconds,
        measured: sequences / tokensPerSecond,
      })),
    );
  const streamed = all()
    .filter(({ each }) => each.stream?.predicted !== undefined)
    .map(({ name, each }) => ({
      name,
      where: whereOf(each),
      model: modelOf(each),
      predicted: each.stream.predicted.seconds,
      forecast: each.stream.forecast ?? null,
      measured: each.stream.seconds,
    }));
  return [...streamed, ...withCpu];
}

/** Measured passes: spans of resources in seconds since the pass began. */
export function timelines() {
  return all()
    .filter(({ each }) => each.timeline?.length > 0)
    .map(({ each }) => ({
      title: `${modelOf(each)} on ${whereOf(each)}: ${Number((1000 * each.stream.pass.seconds).toPrecision(3))} ms a pass`,
      seconds: each.stream.pass.seconds,
      busy: each.stream.pass.busy,
      spans: each.timeline,
    }));
}

/** The run that the picture of a terminal shows. */
export function terminalRun() {
  return all().find(({ name }) => name === 'terminal').each;
}
