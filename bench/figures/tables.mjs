// The tables of README.md and docs/ that hold measured figures. A row names its result; add one where a new result is kept, and
// `npm run figures` writes it into the documents.
import { digits, result, significant } from './numbers.mjs';

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

const CPU = '2026-11-23-llama-1b-cpu.json';
const CPU_AVX2 = '2026-11-23-llama-1b-cpu-avx2.json';
const CUDA = '2026-11-23-cuda.json';
const WEBGPU = '2026-11-23-llama-8b-webgpu.json';
const STREAMS = ['70b-Q4_K-cuda', '30b-Q4_K-cuda', '70b-Q4_K-webgpu'].map(
  (name) => `2026-11-23-stream-llama-${name}.json`,
);
/** Plans that were run: what was predicted, and what was measured. */
const PLANNED = [
  { file: '2026-11-23-bench-llama-70b-Q4_K-cuda.json', memory: '15.5 GiB of VRAM' },
  { file: '2026-11-23-bench-llama-30b-Q4_K-cuda.json', memory: '9 GiB of VRAM' },
  { file: '2026-11-23-bench-llama-1b-Q8_0-cpu.json', memory: '700 MiB of RAM' },
];
const PUBLISHED = '2026-11-23-published.json';
const NVME = '2026-11-23-nvme-cost-emulated.json';

/** Which machine, which model, how fast. */
function machineRows() {
  const resident = [CUDA, WEBGPU, CPU].flatMap((file) =>
    result(file)
      .filter(({ type }) => ['Q8_0', 'Q4_K'].includes(type))
      .map((each) => ({ each, how: 'all in memory', decode: each.decode.best, prompt: each.prompt.best })),
  );
  const planned = PLANNED.map(({ file, memory }) => {
    const each = result(file);
    return { each, how: `with ${memory}`, decode: 1 / each.stream.seconds, prompt: each.prompt.best };
  });
  return [...resident, ...planned].map(({ each, how, decode, prompt }) => {
    const weights = each.model.weightBytes;
    const size = how === 'all in memory' ? `${significant(weights / 2 ** 30)} GiB` : modelSize(each);
    return [machineName(each), each.device.backend, modelName(each), size, how, rate(decode), rate(prompt)];
  });
}

/** `weightBytes` of a streamed model counts what is resident on a CPU: the same model's resident result knows all of it. */
function modelSize(each) {
  const whole = [CUDA, WEBGPU, CPU].flatMap(result).find((other) => modelName(other) === modelName(each));
  const bytes = Math.max(whole?.model.weightBytes ?? 0, each.model.weightBytes);
  return `${significant(bytes / 2 ** 30)} GiB`;
}

function plannedRows() {
  return PLANNED.map(({ file, memory }) => {
    const each = result(file);
    const { predicted, seconds } = each.stream;
    const off = seconds / predicted.seconds - 1;
    const milliseconds = (value) => `${significant(1000 * value)} ms`;
    return [
      ...[modelName(each), each.device.backend, memory, milliseconds(predicted.seconds), milliseconds(seconds)],
      ...[`${off > 0 ? '+' : '−'}${percent(Math.abs(off))}`, rate(1 / seconds), linked(file)],
    ];
  });
}

function streamRows() {
  return STREAMS.map((file) => {
    const each = result(file);
    const { decode, link, promptTokensPerSecond, options, device } = each;
    return [
      ...[modelName(each), device.backend, `${options.vram} GiB`, rate(decode.tokensPerSecond)],
      ...[`${percent(link.shareOfPeak)} of ${digits(link.peak, 1)} GB/s`, rate(promptTokensPerSecond), linked(file)],
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
  const ours = (file, name) => result(file).find((each) => modelName(each) === name)?.decode.best;
  const streamed = 1 / result(PLANNED[0].file).stream.seconds;
  const cell = (value) => (value === undefined ? '' : significant(value));
  const rows = ['llama-8b Q8_0', 'llama-8b Q4_K', 'llama-70b Q4_K'].map((name) => [
    `${name}, resident`,
    ...[cell(ours(CUDA, name)), cell(ours(WEBGPU, name))],
    ...[cell(llamaCpp[name]?.decode), cell(ntransformer[name]?.decode)],
  ]);
  const partly = llamaCpp['llama-70b Q4_K, 16 GiB of VRAM'].decode;
  return [...rows, ['llama-70b Q4_K, 15.5 GiB of VRAM (llama.cpp: 16)', cell(streamed), '', cell(partly), '']];
}

export const TABLES = {
  machines: {
    command: 'npm run bench',
    heads: ['machine', 'backend', 'model', 'weights', 'how', 'decode', 'prompt of 512'],
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
      [CPU, CPU_AVX2].flatMap((file) =>
        result(file).map((each) => {
          const [model, ...rest] = residentRow(each);
          return [model, each.machine.kernels, ...rest, linked(file)];
        }),
      ),
  },
  cuda: {
    command: 'npm run bench -- --only cuda,cuda-70b',
    heads: ['model', 'decode', 'of read', 'prompt of 512', 'llama.cpp there (August 2026)'],
    rows: () => result(CUDA).map((each) => residentRow(each, llamaCppOf(each))),
  },
  webgpu: {
    command: 'npm run bench -- --only webgpu',
    heads: ['model', 'decode', 'of read', 'prompt of 512', 'llama.cpp’s CUDA there'],
    rows: () => result(WEBGPU).map((each) => residentRow(each, llamaCppOf(each))),
  },
  streams: {
    command: 'npm run bench -- --only stream-cuda,stream-webgpu',
    heads: ['model', 'backend', 'VRAM', 'decode', 'of the link', 'prompts of 512', 'result'],
    rows: streamRows,
  },
  planned: {
    command: 'npm run bench -- --only stream-cuda,disk',
    heads: ['model', 'backend', 'memory', 'predicted pass', 'measured pass', 'off by', 'decode', 'result'],
    rows: plannedRows,
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
