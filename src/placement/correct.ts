// What a run tells of the rates that it was planned with.
import type { Machine, ProductRates } from './machine.js';
import type { Prediction, Resource } from './plan.js';

/** A run as it was, in steady state. */
export interface MeasuredRun {
  readonly predicted: Prediction;
  /** Of one pass. */
  readonly seconds: number;
  /** Seconds that resources worked during a pass, of those whose work was timed. */
  readonly busy: Readonly<Partial<Record<Resource, number>>>;
  /** Of a unit on the CPU; absent: there was none, or it was not timed. */
  readonly handOver?: { readonly predicted: number; readonly seconds: number } | undefined;
}

/** From here on a run says that it was off. */
const NOTABLE = 0.2;
/** Rates vary by this much from run to run. */
const JITTER = 0.03;
/** A resource that works for a smaller part of a pass is not timed well. */
const LEAST_SHARE = 0.05;
/** One odd run (a laptop on battery, a drive being rebuilt) does not ruin what is known. */
const MOST_FACTOR = 4;
const KEPT_CORRECTIONS = 20;

/** "a pass took 0.61 s where 0.50 s were predicted (22 % more): ...", or null for a run that was near enough. */
export function deviation({ predicted, seconds, busy }: MeasuredRun): string | null {
  const ratio = seconds / predicted.seconds;
  if (!(Math.abs(ratio - 1) >= NOTABLE)) return null;
  const percent = `${Math.round(100 * Math.abs(ratio - 1))} % ${ratio > 1 ? 'more' : 'less'}`;
  const off = farthest(predicted, busy);
  const reason = off === null ? `its bound was to be ${nameOf(predicted.bound)}` : off;
  const seen = `a pass took ${seconds.toPrecision(3)} s where ${predicted.seconds.toPrecision(3)} s were predicted`;
  return `${seen} (${percent}): ${reason}; the next plan knows, and "ntx measure" measures again`;
}

function farthest(predicted: Prediction, busy: MeasuredRun['busy']): string | null {
  let worst: { resource: Resource; factor: number } | null = null;
  for (const [resource, factor] of factorsOf(predicted, busy, predicted.seconds)) {
    if (!worst || Math.abs(Math.log(factor)) > Math.abs(Math.log(worst.factor))) worst = { resource, factor };
  }
  if (worst === null) return null;
  const { resource, factor } = worst;
  return `${nameOf(resource)} ran at ${Math.round(100 * factor)} % of the rate that was measured before`;
}

function nameOf(resource: Resource): string {
  const names = { compute: 'the device', link: 'the link', disk: 'the disk', cpu: 'the processor' };
  return resource === 'host-memory' ? 'host memory' : names[resource];
}

/** What rates have to be multiplied with, of resources that were timed and were off. */
function factorsOf(predicted: Prediction, busy: MeasuredRun['busy'], pass: number): [Resource, number][] {
  const factors: [Resource, number][] = [];
  for (const [resource, seconds] of Object.entries(busy) as [Resource, number][]) {
    const expected = predicted.busy[resource];
    if (!(seconds > 0 && expected > LEAST_SHARE * pass)) continue;
    const factor = expected / seconds;
    if (Math.abs(factor - 1) > JITTER) factors.push([resource, factor]);
  }
  return factors;
}

/** The machine with rates as the run found them; the machine itself where they were right. */
export function correct(machine: Machine, run: MeasuredRun, date = new Date()): Machine {
  const { predicted, seconds, busy, handOver } = run;
  const timed = predicted.bound in busy;
  const factors: [Resource | 'hand-over', number][] = factorsOf(predicted, busy, predicted.seconds);
  // Times of waking vary more than rates.
  if (handOver && handOver.seconds > 0 && Math.abs(handOver.predicted / handOver.seconds - 1) > NOTABLE) {
    factors.push(['hand-over', handOver.predicted / handOver.seconds]);
  }
  const whole = predicted.seconds / seconds;
  // Nothing says which resource it was: then it was the one that was to bind.
  if (!timed && Number.isFinite(whole) && Math.abs(whole - 1) > JITTER) factors.push([predicted.bound, whole]);
  return factors.reduce((corrected, [resource, factor]) => {
    const limited = Math.min(MOST_FACTOR, Math.max(1 / MOST_FACTOR, factor));
    const correction = { date: date.toISOString(), resource, factor: Number(limited.toPrecision(3)) };
    const corrections = [...corrected.corrections, correction].slice(-KEPT_CORRECTIONS);
    return { ...SCALE[resource](corrected, limited), corrections };
  }, machine);
}

const SCALE: Readonly<Record<Resource | 'hand-over', (machine: Machine, factor: number) => Machine>> = {
  compute: (machine, factor) => {
    const { products, launchSeconds } = machine.device;
    const device = { products: scaled(products, factor), launchSeconds: launchSeconds / factor };
    return { ...machine, device: { ...machine.device, ...device } };
  },
  link: (machine, factor) => {
    const { link, host } = machine;
    if (!link) return machine;
    const times = (copies: typeof link.copies) => copies.map((copy) => ({ ...copy, rate: copy.rate * factor }));
    const writeCombined = link.writeCombined && times(link.writeCombined);
    const withLink = host.withLink && { ...host.withLink, linkRate: host.withLink.linkRate * factor };
    return { ...machine, link: { ...link, copies: times(link.copies), writeCombined }, host: { ...host, withLink } };
  },
  disk: (machine, factor) => {
    // Both: a drive whose requests take long is not made faster by the rate alone.
    const disks = machine.disks.map((disk) => ({
      ...disk,
      rate: disk.rate * factor,
      requestSeconds: disk.requestSeconds / factor,
    }));
    return { ...machine, disks };
  },
  cpu: (machine, factor) => {
    const { host } = machine;
    const products = host.products.map((each) => ({ ...each, products: scaled(each.products, factor) }));
    // Of products too: what was timed may have been beside the link, or not.
    const withLink = host.withLink && { ...host.withLink, readRate: host.withLink.readRate * factor };
    return { ...machine, host: { ...host, products, withLink } };
  },
  'hand-over': (machine, factor) => {
    const { link } = machine;
    return link ? { ...machine, link: { ...link, handOverSeconds: link.handOverSeconds / factor } } : machine;
  },
  'host-memory': (machine, factor) => {
    const { host } = machine;
    const withLink = host.withLink && {
      ...host.withLink,
      readRate: host.withLink.readRate * factor,
      linkRate: host.withLink.linkRate * factor,
    };
    return { ...machine, host: { ...host, readRate: host.readRate * factor, withLink } };
  },
};

function scaled(products: ProductRates, factor: number): ProductRates {
  const entries = Object.entries(products).map(([type, points]) => {
    return [type, points.map((point) => ({ ...point, rate: point.rate * factor }))];
  });
  return Object.fromEntries(entries);
}
