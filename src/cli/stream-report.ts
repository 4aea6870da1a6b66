// What `ntx bench` says of a model that is streamed.
import type { StreamReport } from '../bench-stream.js';
import { NtxError } from '../errors.js';
import type { LanguageModel } from '../language-model.js';
import { RESOURCE_NAMES } from '../placement/picture.js';
import { bytesText, rateText, table, writeText } from './output.js';

const RESOURCES = ['compute', 'link', 'cpu', 'disk'] as const;

/** Predicted and measured side by side. */
export function streamText(report: StreamReport): string {
  const { predicted, seconds, busy, sharesQueue, bytes, peaks, forecast, deviation } = report;
  const milliseconds = (value: number) => `${Number((1e3 * value).toPrecision(3))} ms`;
  const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
  const longest = RESOURCES.reduce((most, each) => (busy[each] > busy[most] ? each : most));
  const rows = RESOURCES.filter((each) => predicted.busy[each] > 0 || busy[each] > 0).map((each) => [
    `${RESOURCE_NAMES[each]} busy`,
    share(predicted.busy[each], predicted.seconds),
    share(busy[each], seconds),
    ...(sharesQueue && busy.link > 0 && (each === 'compute' || each === 'link')
      ? ['device and link, which share one queue here']
      : []),
  ]);
  const rates = (['link', 'disk'] as const).flatMap((each) => {
    const peak = peaks[each];
    if (peak === null) return [];
    const rate = bytes[each] / seconds;
    const alone = `${share(rate, peak)} of the ${gigabytes(peak)} that it carries alone in this run`;
    return [[RESOURCE_NAMES[each], gigabytes(rate), `${bytesText(bytes[each])} a pass; ${alone}`]];
  });
  const heads = ['', 'predicted', 'measured'];
  const lines = [
    ['a pass', milliseconds(predicted.seconds), milliseconds(seconds)],
    ['', `${rateText(1 / predicted.seconds)} tok/s`, `${rateText(1 / seconds)} tok/s`],
    ...(forecast === null ? [] : [['a pass, with what the drives carried right before', milliseconds(forecast), '']]),
    ['bound', RESOURCE_NAMES[predicted.bound], RESOURCE_NAMES[longest]],
  ];
  const note = deviation === null ? '' : `${deviation}\n`;
  return `\nStreamed:\n${table([heads, ...lines, ...rows], [1, 2])}${table(rates, [1])}${note}`;
}

/** Throws NtxError('bad-argument') for a name that says nothing of the form. */
export function checkTimeline(path: string): void {
  if (/\.(svg|json)$/.test(path)) return;
  const message = `--timeline: expected a file that ends in .svg or .json, got "${path}"`;
  throw new NtxError('bad-argument', message, 'give another name');
}

/** Throws NtxError('bad-argument') for a model that has nothing to draw. */
export function requireStreamed({ chosen }: LanguageModel): void {
  if (chosen !== null) return;
  const message = '--timeline: all weights of this model are resident, nothing is streamed';
  throw new NtxError('bad-argument', message, 'give it less memory (--vram, --ram), or leave --timeline out');
}

export async function writeTimeline(path: string, model: LanguageModel, { pass }: StreamReport): Promise<void> {
  const { chromeTrace, measuredPicture } = await import('../measured-pass.js');
  const { drawSvg } = await import('../placement/picture.js');
  const { tiers } = model.chosen!.placement.answer.plan;
  const text = path.endsWith('.svg')
    ? drawSvg(measuredPicture(model.model, model.device.name, tiers, pass))
    : JSON.stringify(chromeTrace(model.model, pass));
  await writeText(path, text);
}

function gigabytes(perSecond: number): string {
  return `${(perSecond / 1e9).toFixed(2)} GB/s`;
}
