// The tables of README.md and docs/ that hold measured figures: of every kind of result the newest. `npm run figures` writes them
// into the documents.
import { isSamePlan, secondsOfBetterPure } from '../same-plan.mjs';
import { digits, newest, result, significant } from './numbers.mjs';

const percent = (share) => `${digits(100 * share, 1)} %`;
const rate = (perSecond) => `${significant(perSecond)} tok/s`;
const gigabytes = (perSecond) => `${significant(perSecond / 1e9)} GB/s`;
const linked = (file) => `[JSON](../bench/results/${file})`;

/** "NVIDIA H100 80GB HBM3, 16 cores" or "2-core Intel Xeon (avx512)" */
function machineName({ machine, device }) {
  if (device.kind === 'cpu') {
    const [, threads, kernels] = device.name.split(', ');
    return `${machine.cpu.replace(/\(R\)| Processor/g, '')}, ${threads}, ${kernels}`;
  }
  return `${device.name.replace(/ \(.*\)| HBM3/g, '')}, ${machine.cores} cores`;
}

const modelName = ({ model }) => (model.path ?? model).replace(/\.gguf$/, '').replace(/-(?=[QFB]\w+$)/, ' ');

/** Of `ntx bench` with a model that is resident: an array of results. */
function residentRow(each, llamaCpp) {
  const { decode, shareOfBandwidth, readBandwidth, prompt } = each;
  const share = `${percent(shareOfBandwidth)} of ${gigabytes(readBandwidth)}`;
  const row = [modelName(each), rate(decode.best), share, rate(prompt.best)];
  return llamaCpp === undefined ? row : [...row, llamaCpp];
}

const design = () => result('design.json');

function llamaCppOf(each) {
  const known = design().llamaCpp[modelName(each)];
  if (known === undefined) return 'not measured';
  return known.prompt512 === undefined
    ? `${significant(known.decode)} tok/s`
    : `${known.decode} and ${digits(known.prompt512)} tok/s`;
}

/** Results of models that are resident: of each model and kernels the newest. */
function residents(pattern) {
  const models = new Map();
  const all = newest(pattern).flatMap(({ file }) => result(file).map((each) => ({ file, each })));
  for (const found of all) {
    const key = `${modelName(found.each)} ${found.each.machine.kernels}`;
    if (!(models.get(key)?.each.date > found.each.date)) models.set(key, found);
  }
  return [...models.values()];
}

const onCpu = (suffix) => residents(new RegExp(`^llama-1b-cpu${suffix}$`));
const onCuda = () => residents(/^(cuda|llama-\w+-cuda)$/);
const onWebgpu = () => residents(/^llama-\w+-webgpu$/);
const streams = () => newest(/^stream-llama-\w+-\w+-(cuda|webgpu)$/).map(({ file }) => ({ file, each: result(file) }));
/** Plans that were run, the largest model first: what was predicted, and what was measured. */
const planned = () =>
  newest(/^bench-/)
    .map(({ file }) => ({ file, each: result(file) }))
    .sort((a, b) => b.each.bytesPerToken - a.each.bytesPerToken);
const PUBLISHED = newest(/^published$/)[0].file;
const NVME = newest(/^nvme-cost-emulated$/)[0].file;

/** "15.5 GiB of VRAM": from the budgets that were kept, or the command. */
function memoryOf({ budgets, command }) {
  return ['vram', 'ram']
    .map((name) => [budgets?.[name] ?? new RegExp(`--${name} (\\S+)`).exec(command)?.[1], name.toUpperCase()])
    .filter(([size]) => size !== undefined && size !== null)
    .map(([size, name]) => `${size.replace(/(\d)(\w?iB|B)$/, '$1 $2')} of ${name}`)
    .join(', ');
}

/** The planner's own plans with units on the CPU; seconds of a pass. */
function plannedOnCpu() {
  return newest(/^host-compute-.*-planned$/).flatMap(({ file }) => {
    const each = result(file);
    return each.runs.map((run) => {
      const { seconds } = each.predicted.schedules.find(({ maxRows }) => run.sequences <= maxRows);
      return { file, each, run, predicted: seconds, measured: run.sequences / run.tokensPerSecond };
    });
  });
}

const ofOne = ({ run }) => run.sequences === 1;

/** Which machine, which model, how fast. */
function machineRows() {
  const resident = [...onCuda(), ...onWebgpu(), ...onCpu('')]
    .filter(({ each }) => ['Q8_0', 'Q4_K'].includes(each.type))
    .map(({ each }) => ({ each, how: 'all in memory', decode: each.decode.best, prompt: each.prompt.best }));
  const streamed = planned().map(({ each }) => {
    return { each, how: `${memoryOf(each)}, streamed`, decode: 1 / each.stream.seconds, prompt: each.prompt.best };
  });
  const withCpu = plannedOnCpu()
    .filter(ofOne)
    .map(({ each, run }) => {
      const how = `${each.options.vram} GiB of VRAM, streamed and computed by the CPU`;
      return { each: { ...each, bytesPerToken: each.inRam + each.onDevice }, how, decode: run.tokensPerSecond };
    });
  return [...resident, ...streamed, ...withCpu].map(({ each, how, decode, prompt }) => [
    ...[machineName(each), each.device.backend, modelName(each), `${significant(each.bytesPerToken / 2 ** 30)} GiB`],
    ...[how, rate(decode), prompt === undefined ? '' : rate(prompt)],
  ]);
}

function plannedRows() {
  const streamed = planned().map(({ file, each }) => {
    const { predicted, seconds, forecast } = each.stream;
    const own = { memory: memoryOf(each), predicted: predicted.seconds, forecast, measured: seconds, sequences: 1 };
    return { file, each, ...own };
  });
  const withCpu = plannedOnCpu().map(({ file, each, run, predicted, measured }) => {
    const memory = `${each.options.vram} GiB of VRAM, with the CPU`;
    return { file, each, memory, predicted, measured, sequences: run.sequences };
  });
  const milliseconds = (value) => `${significant(1000 * value)} ms`;
  return [...streamed, ...withCpu].map(({ file, each, memory, predicted, forecast, measured, sequences }) => {
    const told = (seconds) => {
      const off = measured / seconds - 1;
      return `${milliseconds(seconds)} (${off > 0 ? '+' : '−'}${percent(Math.abs(off))})`;
    };
    return [
      ...[modelName(each), each.device.backend, memory, sequences, told(predicted), forecast ? told(forecast) : ''],
      ...[milliseconds(measured), rate(sequences / measured), linked(file)],
    ];
  });
}

function streamRows() {
  return streams().map(({ file, each }) => {
    const { decode, link, promptTokensPerSecond, options, device } = each;
    const prompts = promptTokensPerSecond === null ? '' : rate(promptTokensPerSecond);
    return [
      ...[modelName(each), device.backend, `${options.vram} GiB`, rate(decode.tokensPerSecond)],
      ...[`${percent(link.shareOfPeak)} of ${digits(link.peak, 1)} GB/s`, prompts, linked(file)],
    ];
  });
}

/** Units on the CPU beside streamed ones: every share that was measured, and the planner's own. */
function onCpuRows() {
  return newest(/^host-compute-/).flatMap(({ file }) => {
    const each = result(file);
    return each.runs.map(({ share, sequences, tokensPerSecond, busyShare }) => [
      ...[
        modelName(each),
        each.device.backend,
        `${each.options.vram} GiB`,
        share === null ? 'as planned' : `${digits(100 * share, 0)} %`,
        sequences,
      ],
      ...[rate(tokensPerSecond), percent(busyShare.link), percent(busyShare.cpu ?? 0), linked(file)],
    ]);
  });
}

/** The planner's mixture beside what only copies and what only computes, over budgets of VRAM. */
function mixesRows() {
  return newest(/^mixes-/).flatMap(({ file }) => {
    const each = result(file);
    const cell = (run) => `${rate(1 / run.seconds)} (${significant(1 / run.predicted)})`;
    return each.points.map((point) => {
      const { vram, planned, streamed, computed } = point;
      const same = isSamePlan(computed, planned) ? ', the same plan' : '';
      const times = secondsOfBetterPure(point);
      const share = times === null ? '' : digits(times, 2);
      const runs = [cell(planned), cell(streamed), `${cell(computed)}${same}`];
      return [modelName(each), each.device.backend, `${vram} GiB`, ...runs, share, linked(file)];
    });
  });
}

/** Beside node-llama-cpp, in the same run. */
function compareRows() {
  return newest(/^compare-/).map(({ file }) => {
    const each = result(file);
    const { ntx, llama, ratios } = each;
    const pair = (key, times) => `${significant(ntx[key])} / ${significant(llama[key])} = **${digits(times, 2)}**`;
    return [
      ...[each.model.replace(/\.gguf$/, ''), ntx.device.replace(/\(R\)| Processor/g, '')],
      pair('decodeTokensPerSecond', ratios.decode),
      `${pair('promptTokensPerSecond', ratios.prompt)} (${each.options['prompt-tokens']} tokens)`,
      `${significant(ntx.loadSeconds)} s / ${significant(llama.loadSeconds)} s`,
      linked(file),
    ];
  });
}

function publishedRows() {
  const orNothing = (value) => (value === null ? '' : significant(value));
  return result(PUBLISHED).results.map((each) => [
    each.vram === null ? each.machine : `${each.machine}, ${each.vram}`,
    ...[each.model, each.published, orNothing(each.firstLayersResident), orNothing(each.streamAll)],
    `**${significant(each.tokensPerSecond)}** (${each.bound})`,
    each.units.map(({ tier, units }) => `${units} ${tier}`).join(', '),
  ]);
}

/** The round that took the machine least. */
function nvmeRows() {
  const { results } = result(NVME);
  return [...new Set(results.map(({ way }) => way))].map((way) => {
    const rounds = results.filter((each) => each.way === way);
    const best = rounds.reduce((a, b) => (b.machineSecondsPerGigabyte < a.machineSecondsPerGigabyte ? b : a));
    const keys = ['userSecondsPerGigabyte', 'systemSecondsPerGigabyte', 'machineSecondsPerGigabyte'];
    const name = way
      .replace(/^nvme \(.*?\), 1 x 16 x 1024 KiB/, 'ntx, 1 thread, 16 x 1 MiB')
      .replace('looks for', 'looks');
    return [name, ...keys.map((key) => digits(best[key], 2))];
  });
}

function designRows() {
  const { llamaCpp, ntransformer } = design();
  const ours = (found, name) => found.find(({ each }) => modelName(each) === name)?.each.decode.best;
  const partly = 'llama-70b Q4_K, 16 GiB of VRAM';
  const streamed = planned().filter(
    ({ each }) => modelName(each) === 'llama-70b Q4_K' && each.device.backend === 'cuda',
  );
  const withCpu = plannedOnCpu().filter((found) => ofOne(found) && modelName(found.each) === 'llama-70b Q4_K');
  const best = Math.max(
    ...streamed.map(({ each }) => 1 / each.stream.seconds),
    ...withCpu.map(({ measured }) => 1 / measured),
  );
  const cell = (value) => (value === undefined ? '' : significant(value));
  const rows = ['llama-8b Q8_0', 'llama-8b Q4_K', 'llama-70b Q4_K'].map((name) => [
    `${name}, resident`,
    ...[cell(ours(onCuda(), name)), cell(ours(onWebgpu(), name))],
    ...[cell(llamaCpp[name]?.decode), cell(ntransformer[name]?.decode)],
  ]);
  return [
    ...rows,
    ['llama-70b Q4_K, 15.5 GiB of VRAM (llama.cpp: 16)', cell(best), '', cell(llamaCpp[partly].decode), ''],
  ];
}

export const TABLES = {
  machines: {
    command: 'npm run bench',
    heads: ['machine', 'backend', 'model', 'read a token', 'memory', 'decode', 'prompt of 512'],
    rows: machineRows,
  },
  others: {
    command: 'npm run bench -- --only cuda,cuda-70b,webgpu,stream-cuda; others: bench/results/design.json',
    heads: ['decode, tok/s', 'ntx cuda', 'ntx webgpu', 'llama.cpp (August 2026)', 'ntransformer'],
    rows: designRows,
  },
  cpu: {
    command: 'npm run bench -- --only cpu',
    heads: ['model', 'kernels', 'decode', 'of read', 'prompt of 512', 'result'],
    rows: () =>
      [...onCpu(''), ...onCpu('-\\w+')].map(({ file, each }) => {
        const [model, ...rest] = residentRow(each);
        return [model, each.machine.kernels, ...rest, linked(file)];
      }),
  },
  cuda: {
    command: 'npm run bench -- --only cuda,cuda-70b',
    heads: ['model', 'decode', 'of read', 'prompt of 512', 'llama.cpp there (August 2026)'],
    rows: () => onCuda().map(({ each }) => residentRow(each, llamaCppOf(each))),
  },
  webgpu: {
    command: 'npm run bench -- --only webgpu',
    heads: ['model', 'decode', 'of read', 'prompt of 512', 'llama.cpp’s CUDA there'],
    rows: () => onWebgpu().map(({ each }) => residentRow(each, llamaCppOf(each))),
  },
  streams: {
    command: 'npm run bench -- --only stream-cuda,stream-webgpu',
    heads: ['model', 'backend', 'VRAM', 'decode', 'of the link', 'prompts of 512', 'result'],
    rows: streamRows,
  },
  planned: {
    command: 'npm run bench -- --only stream-cuda,stream-disk,disk,host-compute',
    heads: [
      ...['model', 'backend', 'memory', 'sequences', 'predicted pass (off by)'],
      ...['with the drive’s rate right before (off by)', 'measured pass', 'decode', 'result'],
    ],
    rows: plannedRows,
  },
  'on-cpu': {
    command: 'npm run bench -- --only host-compute',
    heads: [
      'model',
      'backend',
      'VRAM',
      'of what streams, on the CPU',
      'sequences',
      'decode',
      'link busy',
      'CPU busy',
      'result',
    ],
    rows: onCpuRows,
  },
  mixes: {
    command: 'npm run bench -- --only host-compute',
    heads: [
      ...['model', 'backend', 'VRAM', 'planned (predicted)', 'only copied', 'computed as far as can be'],
      ...['seconds, of the better other', 'result'],
    ],
    rows: mixesRows,
  },
  compare: {
    command: 'npm run bench -- --only compare',
    heads: ['model', 'on', 'decode, tok/s: ntx / node-llama-cpp', 'prompt, tok/s', 'load', 'result'],
    rows: compareRows,
  },
  published: {
    command: 'npm run bench -- --only planner',
    heads: [
      ...['machine', 'model', 'published tok/s', 'first layers resident', 'strided, streamed'],
      ...['the plan (bound)', 'units'],
    ],
    rows: publishedRows,
  },
  'nvme-cost': {
    command: 'npm run bench -- --only nvme-cost',
    heads: ['way', 'user s/GB', 'system s/GB', 'whole machine s/GB'],
    rows: nvmeRows,
  },
};
