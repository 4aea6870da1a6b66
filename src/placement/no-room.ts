// The sentence for a model that no placement fits: which budget, by how much, and what would work.
import { NtxError } from '../errors.js';
import type { Budget, PlanRequest } from './request.js';
import { freeBytes } from './wire.js';

const MIB = 2 ** 20;

/** `fits` says whether a request has a placement; budgets are searched with it, to the MiB. */
export function explainNoRoom(request: PlanRequest, fits: (request: PlanRequest) => boolean): NtxError {
  const where = { device: 'VRAM', host: 'RAM' } as const;
  for (const side of ['device', 'host'] as const) {
    const budget = request[side];
    if (!budget || freeBytes(budget) >= 0) continue;
    const context = smallerContext(request, fits);
    const needed = smallest(request, side, fits);
    return noRoom(where[side], budget, needed, overdrawn(budget), context);
  }
  const sides = request.device ? (['device', 'host'] as const) : (['host'] as const);
  const ways = sides.flatMap((side) => {
    const budget = request[side] as Budget;
    const needed = smallest(request, side, fits);
    return needed === null ? [] : [{ side, budget, needed }];
  });
  ways.sort((a, b) => a.needed - a.budget.bytes - (b.needed - b.budget.bytes));
  if (ways.length > 0) {
    const [{ side, budget, needed }] = ways;
    const why = 'two units at a time must have room on their way';
    return noRoom(where[side], budget, needed, why, smallerContext(request, fits));
  }
  const [device, host] = [request.device?.bytes ?? 0, request.host.bytes].map(mib);
  return new NtxError(
    'no-memory',
    `${device} of VRAM and ${host} of RAM are both too little for this model, whatever the other is`,
    'raise both budgets, or choose a smaller model',
  );
}

function noRoom(name: string, { bytes }: Budget, needed: number | null, why: string, context: number | null): NtxError {
  const message =
    needed === null
      ? `${mib(bytes)} of ${name} are too little: ${why}`
      : `the model needs ${mib(needed)} of ${name}, ${mib(needed - bytes)} more than the ${mib(bytes)} that may be used: ${why}`;
  const advice = [
    ...(needed === null ? [] : [`raise --${name === 'VRAM' ? 'vram' : 'ram'} to ${mib(needed)}`]),
    ...(context === null ? [] : [`use --context ${context}`]),
    'choose a smaller model',
  ];
  return new NtxError('no-memory', message, advice.join(', or '));
}

function mib(bytes: number): string {
  return `${Math.ceil(bytes / MIB)} MiB`;
}

/** Of a budget that does not even hold what is always there. */
function overdrawn({ bytes, residents }: Budget): string {
  const largest = residents.reduce((most, resident) => (resident.bytes > most.bytes ? resident : most));
  const most = `${largest.name} (${mib(largest.bytes)})`;
  return largest.bytes > bytes
    ? `${most} alone does not fit`
    : `what is always there does not fit, of which ${most} is most`;
}

/** The least budget of one side, all else as it is, to the MiB; null: no budget of this side helps. */
function smallest(
  request: PlanRequest,
  side: 'device' | 'host',
  fits: (request: PlanRequest) => boolean,
): number | null {
  const budget = request[side] as Budget;
  const fixed = budget.bytes - freeBytes(budget);
  const withBytes = (bytes: number) => ({ ...request, [side]: { ...budget, bytes } });
  const most = fixed + 3 * request.units.reduce((sum, { bytes }) => sum + bytes, 0) + 64 * MIB;
  return least(Math.max(0, Math.ceil(fixed / MIB)), Math.ceil(most / MIB), (size) => fits(withBytes(size * MIB)), MIB);
}

/** The largest context that fits the budgets; null: none does, or it is not the context. */
function smallerContext(request: PlanRequest, fits: (request: PlanRequest) => boolean): number | null {
  const shrink = <T extends Budget | null>(budget: T, positions: number) =>
    budget && {
      ...budget,
      residents: budget.residents.map((resident) => ({
        ...resident,
        bytes: resident.bytes - (request.context - positions) * resident.bytesPerPosition,
      })),
    };
  const works = (positions: number) => {
    const smaller = { ...request, device: shrink(request.device, positions), host: shrink(request.host, positions) };
    const enough = (budget: Budget | null) => !budget || freeBytes(budget) >= 0;
    return enough(smaller.device) && enough(smaller.host) && fits(smaller as PlanRequest);
  };
  // `left` positions fewer: the least of which works.
  const left = least(1, request.context - 1, (fewer) => works(request.context - fewer), 1);
  return left === null ? null : request.context - left;
}

/** The least whole number in [low, high] for which `works` holds, times `step`; null: it holds for none. Monotone. */
function least(low: number, high: number, works: (size: number) => boolean, step: number): number | null {
  if (high < low || !works(high)) return null;
  let [from, to] = [low, high];
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if (works(middle)) to = middle;
    else from = middle + 1;
  }
  return to * step;
}
