// A plan in numbers that a person asks for; cli/plan.ts prints them, and the picture's page shows them.

import type { PassSizes } from '../backend/backend.js';
import type { Model } from '../model/index.js';
import type { Alternative } from './answer.js';
import { CLEARLY_FASTER } from './cpu-alone.js';
import type { Machine } from './machine.js';
import type { Prediction, Resource, Tier } from './plan.js';
import type { Placement } from './plan-for.js';

export const TIERS: readonly Tier[] = ['device', 'host-copy', 'host-compute', 'disk'];

export interface TierLine {
  readonly tier: Tier;
  readonly units: number;
  readonly bytes: number;
}

export interface MemoryLine {
  readonly name: 'VRAM' | 'RAM';
  readonly budget: number;
  /** "free less a margin" */
  readonly reason: string;
  readonly exceedsFree: boolean;
  /** What is taken of it: "weights", "slots (3)", "the KV cache". */
  readonly parts: readonly { readonly name: string; readonly bytes: number }[];
  readonly left: number;
}

export interface ClassLine {
  /** Rows of one pass. */
  readonly rows: number;
  readonly seconds: number;
  /** Of all rows together. */
  readonly tokensPerSecond: number;
  readonly bound: Resource;
  /** Share of the pass that each resource works. */
  readonly busy: Readonly<Record<Resource, number>>;
}

export interface Explanation {
  readonly model: string;
  readonly machine: string;
  readonly assumptions: readonly string[];
  readonly context: number;
  /** All units are resident. */
  readonly fits: boolean;
  /** What the plan comes to, in a sentence. */
  readonly sentence: string;
  readonly tiers: readonly TierLine[];
  readonly memories: readonly MemoryLine[];
  readonly classes: readonly ClassLine[];
  /** Index into classes: what the plan was made for. */
  readonly wanted: number;
  /** Of the wanted class; null where it does not fit. */
  readonly refused: readonly {
    readonly kind: Alternative['kind'] | 'cpu-alone';
    readonly what: string;
    readonly tokensPerSecond: number | null;
  }[];
  readonly oneMoreGiB: readonly { readonly memory: 'VRAM' | 'RAM'; readonly tokensPerSecond: number }[];
}

const REFUSED: Readonly<Record<Alternative['kind'], string>> = {
  'stream-all': 'what is not in VRAM is streamed, the CPU computes nothing',
  'compute-all': 'what is not in VRAM is computed by the CPU as far as it can',
  'first-layers-resident': 'the first layers in VRAM, the others streamed: the link rests while the first ones run',
};

const CPU_ALONE = 'the CPU computes everything, the device nothing: --backend cpu';
const REFUSED_IN_RAM = 'the first layers in RAM, the others read: the disk rests while the first ones run';

/** Puts a placement into words and numbers. */
export function explain(
  model: Model,
  machine: Machine,
  { sizes }: { sizes: PassSizes },
  placement: Placement,
  cpuAlone: readonly number[] | null = null,
): Explanation {
  const { request, answer } = placement;
  const weights = request.classes.map(({ weight }) => weight);
  const wanted = weights.indexOf(Math.max(...weights));
  const rows = (index: number) => Math.min(request.classes[index].maxRows, sizes.maxRows);
  const perSecond = (seconds: readonly number[]) => rows(wanted) / seconds[wanted];
  const more = [
    ...(answer.oneMoreGiB.device ? [{ memory: 'VRAM' as const, seconds: answer.oneMoreGiB.device }] : []),
    { memory: 'RAM' as const, seconds: answer.oneMoreGiB.host },
  ];
  return {
    model: model.config.name,
    machine: machine.name,
    assumptions: machine.assumptions,
    context: sizes.context,
    fits: answer.fitsDevice,
    sentence: sentenceOf(placement) + adviceOf(placement, cpuAlone, wanted),
    tiers: tierLines(placement),
    memories: memoryLines(placement),
    classes: answer.plan.schedules.map(({ prediction }, index) => classLine(rows(index), prediction)),
    wanted,
    refused: [
      ...refusedOf(placement).map(({ kind, seconds }) => ({
        kind,
        what: request.device || kind !== 'first-layers-resident' ? REFUSED[kind] : REFUSED_IN_RAM,
        tokensPerSecond: seconds && perSecond(seconds),
      })),
      ...(cpuAlone ? [{ kind: 'cpu-alone' as const, what: CPU_ALONE, tokensPerSecond: perSecond(cpuAlone) }] : []),
    ],
    oneMoreGiB: more.map(({ memory, seconds }) => ({ memory, tokensPerSecond: perSecond(seconds) })),
  };
}

/** Those that are other plans than the one that was chosen, and that this machine could run. */
function refusedOf({ request, answer }: Placement): readonly Alternative[] {
  const chosen = answer.plan.schedules.map(({ prediction }) => prediction.seconds);
  const hasCpu = request.units.some(({ work }) => work[0].cpuSeconds !== null);
  return answer.refused.filter(({ kind, seconds }) => {
    const isChosen = seconds?.every((each, index) => each === chosen[index]) ?? false;
    return !isChosen && (hasCpu || kind !== 'compute-all');
  });
}

function classLine(rows: number, { seconds, bound, busy }: Prediction): ClassLine {
  const shares = Object.entries(busy).map(([resource, worked]) => [resource, worked / seconds]);
  return { rows, seconds, tokensPerSecond: rows / seconds, bound, busy: Object.fromEntries(shares) };
}

function sentenceOf({ request, answer }: Placement): string {
  if (answer.fitsDevice) {
    return request.device ? 'all of it fits on the device: nothing streams' : 'all of it fits in RAM: nothing streams';
  }
  const { tiers } = answer.plan;
  const count = (tier: Tier) => tiers.filter((each) => each === tier).length;
  const onCpu = request.link?.sharesPages === false ? 'every pass' : 'passes of few rows';
  const parts = [
    `${count('device')} of ${tiers.length} units are resident`,
    ...(count('host-copy') > 0 ? [`${count('host-copy')} copied out of RAM in every pass`] : []),
    ...(count('host-compute') > 0 ? [`${count('host-compute')} computed by the CPU in ${onCpu}`] : []),
    ...(count('disk') > 0 ? [`${count('disk')} read from disk in every pass`] : []),
  ];
  return parts.join(', ');
}

/** Beside a small or slow device. */
function adviceOf({ answer }: Placement, cpuAlone: readonly number[] | null, wanted: number): string {
  const { seconds } = answer.plan.schedules[wanted].prediction;
  return cpuAlone && cpuAlone[wanted] < CLEARLY_FASTER * seconds
    ? '; the CPU alone would be faster: --backend cpu'
    : '';
}

function tierLines({ request, answer }: Placement): TierLine[] {
  return TIERS.map((tier) => {
    const own = request.units.filter((_, index) => answer.plan.tiers[index] === tier);
    return { tier, units: own.length, bytes: own.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
}

function memoryLines({ request, answer, budgets }: Placement): MemoryLine[] {
  const { use, plan } = answer;
  const lines: MemoryLine[] = [];
  const counted = (name: string, count: number) => (count > 0 ? `${name} (${count})` : name);
  if (request.device && budgets.device) {
    const parts = [
      { name: 'weights', bytes: use.device },
      { name: counted('slots', plan.slots.length), bytes: use.slots },
      ...request.device.residents,
    ];
    lines.push(memoryLine('VRAM', budgets.device, parts));
  }
  const weights = request.device ? use.host : use.device + use.host;
  const parts = [
    { name: 'weights', bytes: weights },
    { name: counted('staging', plan.staging.length), bytes: use.staging },
    ...request.host.residents,
  ];
  lines.push(memoryLine('RAM', budgets.host, parts));
  return lines;
}

function memoryLine(
  name: MemoryLine['name'],
  budget: Placement['budgets']['host'],
  all: readonly { readonly name: string; readonly bytes: number }[],
): MemoryLine {
  const parts = all.filter(({ bytes }) => bytes > 0).map((part) => ({ name: part.name, bytes: part.bytes }));
  const left = budget.bytes - parts.reduce((sum, { bytes }) => sum + bytes, 0);
  return { name, budget: budget.bytes, reason: budget.reason, exceedsFree: budget.exceedsFree, parts, left };
}
