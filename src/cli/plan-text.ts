// A plan as text.
import type { ClassLine, Explanation, MemoryLine } from '../placement/explain.js';
import { RESOURCE_NAMES } from '../placement/picture.js';
import type { Resource } from '../placement/plan.js';
import { bytesText, rateText, table } from './output.js';

export function planText(plan: Explanation): string {
  const { model, machine, context, sentence, classes, wanted, refused, oneMoreGiB, assumptions } = plan;
  const best = classes[wanted].tokensPerSecond;
  const tiers = plan.tiers
    .filter(({ units }) => units > 0)
    .map(({ tier, units, bytes }) => [tier, `${units}`, bytesText(bytes)]);
  const others = refused.map(({ what, tokensPerSecond }) => {
    return [`${tokensPerSecond === null ? 'does not fit' : `${rateText(tokensPerSecond)} tok/s`}`, what];
  });
  const more = oneMoreGiB.map(({ memory, tokensPerSecond }) => {
    const gain = (100 * (tokensPerSecond - best)) / best;
    return [
      `one GiB more of ${memory}`,
      `${rateText(tokensPerSecond)} tok/s`,
      `${gain < 0.05 ? 'nothing' : `+${gain.toFixed(1)} %`}`,
    ];
  });
  const sections = [
    `${model} on ${machine}, context ${context}\n${sentence}\n`,
    table([['tier', 'units', 'bytes'], ...tiers], [1, 2]),
    plan.memories.map(memoryText).join(''),
    table(
      [classHeads(classes), ...classes.map((line, index) => classCells(line, index === wanted, classes))],
      [0, 1, 2],
    ),
    // Where nothing streams, nothing else could be better.
    ...(plan.fits ? [] : [`refused:\n${table(others, [0])}`, table(more, [1, 2])]),
    ...(assumptions.length > 0 ? [`assumed:\n${assumptions.map((each) => `- ${each}\n`).join('')}`] : []),
  ];
  return sections.join('\n');
}

function memoryText({ name, budget, reason, exceedsFree, parts, left }: MemoryLine): string {
  const own = parts.map((part) => `${part.name} ${bytesText(part.bytes)}`).join(', ');
  const warning = exceedsFree ? '; that is more than is free now' : '';
  return `${name}: ${bytesText(budget)} (${reason}${warning}): ${own}; ${bytesText(left)} left\n`;
}

/** Resources that work at all. */
function resourcesOf(classes: readonly ClassLine[]): Resource[] {
  const all: Resource[] = ['compute', 'link', 'disk', 'cpu', 'host-memory'];
  return all.filter((resource) => classes.some(({ busy }) => busy[resource] >= 0.0005));
}

function classHeads(classes: readonly ClassLine[]): string[] {
  return ['rows', 'ms', 'tok/s', 'bound', ...resourcesOf(classes).map((resource) => RESOURCE_NAMES[resource])];
}

function classCells(
  { rows, seconds, tokensPerSecond, bound, busy }: ClassLine,
  isWanted: boolean,
  all: readonly ClassLine[],
) {
  const shares = resourcesOf(all).map((resource) => `${Math.round(100 * busy[resource])} %`);
  const boundBy = `${RESOURCE_NAMES[bound]}${isWanted ? ' *' : ''}`;
  return [`${rows}`, rateText(1e3 * seconds), rateText(tokensPerSecond), boundBy, ...shares];
}
