// Every question that bench/ answers: what it needs, the commands, and the results that they leave. `npm run bench` runs what this
// machine can; test/unit/figures.test.ts holds every file of bench/results to one entry.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { modelPath, modelProblem } from './models.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** Golden logits and perplexities of llama.cpp, where a checkout has them beside it. */
const GOLDEN = here('../shared/vectors/golden');
const TRAINED = here('../shared/models');

const skip = (reason) => ({ skip: reason });
const always = (...runs) => ({ models: [], runs });

/** Runs over models that have to be written first; skipped where a backend is missing or the models are too large. */
function over(machine, backend, models, runs) {
  const { missing } = machine.backends[backend];
  if (missing !== undefined) return skip(missing);
  const problem = modelProblem(machine, models);
  return problem === null ? { models, runs } : skip(problem);
}

const wholeModels = (shape, types, ...options) => [
  'bench/whole-model.mjs',
  '--shape',
  shape,
  '--types',
  types,
  ...options,
];

function resident(backend) {
  return (machine, quick) => {
    const types = quick ? ['Q8_0', 'Q4_K'] : ['Q8_0', 'Q4_K', 'Q6_K', 'Q5_K', 'Q4_0'];
    const models = types.map((type) => ['llama-8b', type]);
    const options = ['--', '--backend', backend, '--ops', '--repeat', quick ? '3' : '7', '--tokens', '128'];
    return over(machine, backend, models, [wholeModels('llama-8b', types.join(), '--save', ...options)]);
  };
}

/** Of a GPU that holds them: a model that leaves most of 80 GB free says little of large ones. */
function large(backend) {
  return (machine) => {
    const { memoryBytes = 0 } = machine.backends[backend];
    if (machine.backends[backend].missing === undefined && memoryBytes > 0 && memoryBytes < 60e9) {
      return skip(`a 70B model does not fit into ${machine.backends[backend].name}`);
    }
    const options = ['--', '--backend', backend, '--ops', '--repeat', '3', '--tokens', '64'];
    const run = wholeModels('llama-70b', 'Q4_K', '--save', ...options);
    return over(machine, backend, [['llama-70b', 'Q4_K']], [run]);
  };
}

const STREAMED = [
  [['llama-30b', 'Q4_K'], '9'],
  [['llama-70b', 'Q4_K'], '15.5'],
];

function streamed(backend) {
  return (machine, quick) => {
    const chosen = quick ? STREAMED.slice(0, 1) : STREAMED;
    const runs = chosen.flatMap(([model, vram]) => {
      const path = modelPath(machine, model);
      const common = [path, '--backend', backend];
      const few = ['--tokens', quick ? '8' : '24'];
      return [
        ['bench/stream.mjs', ...common, '--vram', vram, ...few, '--prompts', quick ? '1' : '3', '--save'],
        ['bench/planned.mjs', ...common, '--vram', `${vram}GiB`, ...few, '--save'],
      ];
    });
    return over(
      machine,
      backend,
      chosen.map(([model]) => model),
      runs,
    );
  };
}

/** Both backends at once: the CPU has to be there too. */
function onCpuToo(machine, quick) {
  const { missing } = machine.backends.cpu;
  if (missing !== undefined) return skip(missing);
  const model = quick ? ['llama-30b', 'Q4_K'] : ['llama-70b', 'Q4_K'];
  const common = ['bench/host-compute.mjs', modelPath(machine, model), '--vram', quick ? '9' : '15.5', '--save'];
  const shares = [...common, '--shares', '0,0.6,0.7,0.8,1', '--sequences', '1,8'];
  const budgets = ['--vram', quick ? '5,9' : '5,9,13', '--alone', '--save'];
  const mixed = ['llama-30b', 'Q4_K'];
  const mixes = ['bench/mixes.mjs', modelPath(machine, mixed), ...budgets];
  const planned = [...common, '--planned'];
  const one = [
    'bench/mixes.mjs',
    modelPath(machine, model),
    '--vram',
    quick ? '9' : '15.5',
    '--tokens',
    '12',
    '--save',
  ];
  const onWebgpu = [
    [...planned, '--backend', 'webgpu', '--sequences', '1'],
    [...one, '--backend', 'webgpu'],
  ];
  const alsoWebgpu = machine.backends.webgpu.missing === undefined ? onWebgpu : [];
  return over(machine, 'cuda', quick ? [model] : [model, mixed], [shares, planned, one, ...alsoWebgpu, mixes]);
}

function withDisk(machine) {
  const model = ['llama-70b', 'Q4_K'];
  const options = ['--vram', '15.5', '--disk', '4', '--staging', '3', '--tokens', '16', '--prompts', '0', '--save'];
  const path = modelPath(machine, model);
  const budgets = ['--vram', '15.5GiB', '--ram', '21GiB'];
  const backends = machine.backends.webgpu.missing === undefined ? ['cuda', 'webgpu'] : ['cuda'];
  const planned = backends.map((backend) => {
    return ['bench/planned.mjs', path, '--backend', backend, ...budgets, '--tokens', '16', '--name', 'disk', '--save'];
  });
  return over(machine, 'cuda', [model], [['bench/stream.mjs', path, ...options], ...planned]);
}

function onThisProcessor(machine, quick) {
  const types = quick ? 'Q4_K' : 'Q8_0,Q4_K,Q6_K';
  const models = types.split(',').map((type) => ['llama-1b', type]);
  const run = wholeModels('llama-1b', types, '--save', '--', '--backend', 'cpu');
  const others = machine.cpuVariants.filter((variant) => variant === 'avx2' && machine.cpuVariants[0] !== variant);
  return over(machine, 'cpu', models, [run, ...(quick ? [] : others.map((variant) => ({ NTX_CPU: variant, run })))]);
}

function fromDisk(machine, quick) {
  const model = ['llama-1b', 'Q8_0'];
  const path = modelPath(machine, model);
  const tokens = ['--tokens', quick ? '8' : '32', '--save'];
  return over(
    machine,
    'cpu',
    [model],
    [
      ['bench/disk.mjs', path, '--save'],
      ['bench/planned.mjs', path, '--backend', 'cpu', '--ram', '700MiB', ...tokens],
      ['bench/stream-limit.mjs', path, '--turns', quick ? '2' : '12', '--save'],
    ],
  );
}

function batches(backend) {
  return (machine) => {
    const models = ['Q8_0', 'Q4_K'].map((type) => ['llama-8b', type]);
    const [large, small] = models.map((model) => modelPath(machine, model));
    return over(machine, backend, models, [
      ['bench/batch.mjs', small, backend, '--save'],
      ...[large, small].map((path) => ['bench/js-share.mjs', path, backend, '512', '--save']),
      ['bench/memory.mjs', small, '--backend', backend, '--save'],
    ]);
  };
}

function beside(machine, quick) {
  const gpu = machine.backends.cuda.missing === undefined ? 'cuda' : 'cpu';
  const shape = gpu === 'cuda' ? 'llama-8b' : 'llama-1b';
  const models = (quick ? ['Q4_K'] : ['Q8_0', 'Q4_K']).map((type) => [shape, type]);
  const runs = models.map((model) => [
    'bench/compare/compare.mjs',
    modelPath(machine, model),
    '--backend',
    gpu,
    '--save',
  ]);
  const embedded = ['bench/compare/compare.mjs', here('models/fable-29m-q4_k_m.gguf'), '--backend', gpu, '--save'];
  return over(machine, gpu, models, [...runs, embedded]);
}

function againstLlamaCpp(machine) {
  if (!existsSync(GOLDEN)) return skip('needs llama.cpp’s figures and trained models in ../shared, which are not here');
  const backends = ['cpu', 'cuda'].filter((name) => machine.backends[name].missing === undefined);
  if (backends.length === 0) return skip(machine.backends.cpu.missing);
  return always(
    ...backends.map((name) => [
      'bench/perplexity.mjs',
      `${GOLDEN}/perplexity.json`,
      TRAINED,
      '--backend',
      name,
      '--save',
    ]),
  );
}

function emulatedDrive() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return skip('the emulated machine is a Linux PC’s');
  return always(['bench/nvme-cost.mjs', '--save']);
}

/** `results`: names of result files without their date. `plan` gives what to run here, or { skip: reason }. */
export const CATALOGUE = [
  {
    name: 'start',
    question: 'How long from the command to the first token?',
    results: /^start$/,
    plan: (_machine, quick) => always(['bench/start.mjs', quick ? '3' : '10', '--save']),
  },
  {
    name: 'terminal',
    question: 'What does a story look like? (the picture in README.md)',
    results: /^terminal$/,
    plan: () => always(['bench/terminal.mjs', '--save']),
  },
  {
    name: 'tokenizer',
    question: 'How fast is the tokenizer?',
    results: /^tokenizer$/,
    plan: () => always(['bench/tokenizer.mjs', '--save']),
  },
  {
    name: 'planner',
    question: 'How long does planning take, and how far from the best can plans be?',
    results: /^(plan|published)$/,
    plan: () => always(['bench/plan.mjs', '--save'], ['bench/published.mjs', '--save']),
  },
  {
    name: 'cpu',
    question: 'How fast are whole models on the processor?',
    results: /^(llama|qwen\d)-[\w.]+-cpu(-\w+)?$/,
    plan: onThisProcessor,
  },
  {
    name: 'growth',
    question: 'Does a process grow while it decodes, and while it streams?',
    results: /^(memory|stream-growth)-[\w.-]+$/,
    plan: (_machine, quick) =>
      always(
        ['bench/memory.mjs', '--backend', 'cpu', '--tokens', quick ? '2000' : '10000', '--save'],
        ['bench/stream-growth.mjs', '--threads', '1', '--minutes', quick ? '1' : '30', '--save'],
      ),
  },
  {
    name: 'disk',
    question: 'How fast is the file reader, and a model that is read from disk in every pass?',
    results: /^(disk|bench-[\w.-]+-cpu|stream-limit-[\w.-]+)$/,
    plan: fromDisk,
  },
  {
    name: 'cuda',
    question: 'How fast are models in the memory of an NVIDIA GPU, with native kernels?',
    results: /^(cuda|llama-8b-cuda)$/,
    plan: resident('cuda'),
  },
  { name: 'cuda-70b', question: 'And a model of 70B?', results: /^llama-70b-cuda$/, plan: large('cuda') },
  {
    name: 'webgpu',
    question: 'How fast are models in the memory of a GPU, through WebGPU?',
    results: /^llama-8b-webgpu$/,
    plan: resident('webgpu'),
  },
  {
    name: 'stream-cuda',
    question: 'How near does streaming come to the link, and plans to what is measured?',
    results: /^(stream-(?!growth)|bench-)[\w.-]+-cuda(-(?!disk)\w+)?$/,
    plan: streamed('cuda'),
  },
  {
    name: 'stream-webgpu',
    question: 'The same through WebGPU',
    results: /^(stream-(?!growth)|bench-)[\w.-]+-webgpu(-\w+)?$/,
    plan: streamed('webgpu'),
  },
  {
    name: 'host-compute',
    question: 'What does it bring to compute units on the CPU while others are streamed?',
    results: /^(host-compute|mixes)-[\w.-]+$/,
    plan: onCpuToo,
  },
  {
    name: 'stream-disk',
    question: 'And with units that are read from disk in every pass?',
    results: /^(stream|bench)-[\w.-]+-cuda-disk\d*$/,
    plan: withDisk,
  },
  {
    name: 'batch-cuda',
    question: 'How fast do sequences decode together, and what is JavaScript’s share?',
    results: /^(batch|js-share)-[\w.-]+-cuda$/,
    plan: batches('cuda'),
  },
  {
    name: 'batch-webgpu',
    question: 'The same through WebGPU',
    results: /^(batch|js-share)-[\w.-]+-webgpu$/,
    plan: batches('webgpu'),
  },
  {
    name: 'compare',
    question: 'How fast is it beside node-llama-cpp (llama.cpp), in the same run?',
    results: /^compare-[\w.-]+$/,
    plan: beside,
  },
  {
    name: 'perplexity',
    question: 'Do models predict a text as well as llama.cpp lets them?',
    results: /^perplexity-\w+$/,
    plan: againstLlamaCpp,
  },
  {
    name: 'nvme-cost',
    question: 'What does reading without the kernel cost the processor, on an emulated drive?',
    results: /^nvme-cost-emulated$/,
    plan: emulatedDrive,
  },
];

/** The entry that a result belongs to, by the file's name without its date. */
export function entryOf(name) {
  const found = CATALOGUE.filter(({ results }) => results.test(name));
  if (found.length !== 1) throw new Error(`${name}: ${found.length} entries of bench/catalogue.mjs claim it`);
  return found[0];
}
