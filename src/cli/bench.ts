import type { Command } from 'commander';
import type { BenchResult, Rate } from '../bench.js';
import type { StreamReport } from '../bench-stream.js';
import type { LanguageModel } from '../language-model.js';
import type { PassProfile } from '../profile.js';
import { interruptible } from './interrupt.js';
import { kernelTable } from './kernel-table.js';
import { loadWithProgress } from './load.js';
import { describeMachine } from './machine.js';
import { addBackendOptions, addDriveOption, addMemoryOptions, loadOptions, type ModelFlags } from './model-options.js';
import { bytesText, print, printJson, rateText, table } from './output.js';
import { checkTimeline, requireStreamed, streamText, writeTimeline } from './stream-report.js';
import { wholeValue } from './values.js';
import { version } from './version.js';

interface BenchFlags extends ModelFlags {
  readonly promptTokens: number;
  readonly tokens: number;
  readonly repeat: number;
  readonly ops?: boolean;
  readonly timeline?: string;
  readonly json?: boolean;
}

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .summary('measure how fast a model runs')
    .description('Measures how fast a model runs, and how near that is to what the memory of this machine can read.')
    .argument('[model]', 'GGUF file (default: the model that comes with ntx)')
    .option('--prompt-tokens <count>', 'tokens of the prompt', wholeValue('--prompt-tokens', 1, 2 ** 20), 512)
    .option('--tokens <count>', 'tokens to decode', wholeValue('--tokens', 1, 2 ** 20), 64)
    .option('--repeat <count>', 'how often each is timed', wholeValue('--repeat', 1, 1000), 3)
    .option('--ops', 'time the kernels of a decoded token one by one (cuda, webgpu)')
    .option('--timeline <file>', 'draw a pass of a model that is streamed: .svg, or .json for ui.perfetto.dev')
    .option('--json', 'the result as JSON, with a description of the machine');
  addMemoryOptions(addDriveOption(addBackendOptions(command))).action(bench);
}

async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const { benchModel, readMeter } = await import('../bench.js');
  const { profileDecode } = await import('../profile.js');
  const { loadHostAddon } = await import('../backend/cpu/binding.js');
  const { promptTokens, tokens, repeat, timeline } = flags;
  if (timeline !== undefined) checkTimeline(timeline);
  await interruptible(async (signal) => {
    const context = Math.max(promptTokens, tokens + 1);
    const model = await loadWithProgress(path, { ...loadOptions(flags), context, signal });
    // Of the load alone: measuring the bandwidth takes memory too.
    const memory = { ...model.memory, peakOfLoad: process.resourceUsage().maxRSS * 1024 };
    // A streamed model leaves no room for it, and does not read that fast.
    const meter = model.chosen ? null : readMeter(model.device, flags);
    try {
      // First without: what cannot be timed is told before a measurement of minutes.
      if (flags.ops) await profileDecode(model, 0);
      if (timeline !== undefined) requireStreamed(model);
      const result = await benchModel(model, { promptTokens, tokens, repeat, signal }, meter?.measure ?? null);
      const stream = model.chosen ? await streamOf(model, flags, signal) : undefined;
      const ops = flags.ops ? { position: tokens, ...(await profileDecode(model, tokens)) } : undefined;
      if (flags.json) {
        const about = {
          date: new Date().toISOString(),
          ntx: version(),
          machine: { ...describeMachine(), kernels: loadHostAddon().addon?.cpuInfo().variant ?? null },
          model: modelFacts(model, path),
        };
        const options = { promptTokens, tokens, repeat };
        printJson({ ...about, device: model.device, options, ...result, stream, memory, ops }, 2);
      } else {
        print(
          asText(model, flags, result, memory) + (stream ? streamText(stream) : '') + (ops ? opsText(ops, result) : ''),
        );
      }
      // Last: a file that cannot be written costs no result.
      if (timeline !== undefined && stream) await writeTimeline(timeline, model, stream);
    } finally {
      await meter?.dispose();
      await model.dispose();
    }
  });
}

async function streamOf(model: LanguageModel, flags: BenchFlags, signal: AbortSignal): Promise<StreamReport> {
  const { benchStream } = await import('../bench-stream.js');
  return benchStream(model, flags.tokens, { ...loadOptions(flags), signal });
}

function modelFacts({ config, memory }: LanguageModel, path: string | undefined): object {
  return {
    path: path ?? 'embedded',
    name: config.name,
    architecture: config.architecture,
    weightBytes: memory.weights,
  };
}

function asText(
  model: LanguageModel,
  { promptTokens, tokens, repeat }: BenchFlags,
  result: BenchResult,
  memory: { weights: number; buffers: number; peakOfLoad: number },
): string {
  const rate = ({ best, median }: Rate) => [`${rateText(best)} tok/s`, repeat > 1 ? `median ${rateText(median)}` : ''];
  const gigabytes = (perSecond: number) => `${(perSecond / 1e9).toFixed(1)} GB/s`;
  const { readBandwidth, shareOfBandwidth } = result;
  const share =
    shareOfBandwidth === null
      ? ''
      : `measured in this run: decode reads at ${(100 * shareOfBandwidth).toFixed(1)} % of it`;
  const heading = `${model.config.name} on ${model.device.name}`;
  const rows = [
    [`prompt of ${promptTokens}`, ...rate(result.prompt)],
    [`decode of ${tokens}`, ...rate(result.decode)],
    ['weights read', gigabytes(result.bytesPerSecond), `${bytesText(result.bytesPerToken)} a token`],
    ...(readBandwidth === null ? [] : [['read bandwidth', gigabytes(readBandwidth), share]]),
    ['memory', bytesText(memory.weights), 'weights'],
    ['', bytesText(memory.buffers), 'KV cache and activations'],
    ['', bytesText(memory.peakOfLoad), 'peak of the process after loading'],
  ];
  return `${heading}\n${table(rows, [1])}`;
}

function opsText(ops: PassProfile & { position: number }, { decode }: BenchResult): string {
  const milliseconds = (seconds: number) => `${(1e3 * seconds).toFixed(3)} ms`;
  const sum = `${milliseconds(ops.seconds)} in all; decoding a token takes ${milliseconds(1 / decode.best)}`;
  return `\nKernels of the token at position ${ops.position}: ${sum}\n${kernelTable(ops)}`;
}
