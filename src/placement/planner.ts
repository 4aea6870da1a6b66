// Asks the planner (planner/, compiled to WASM): the plan, what else it could have been, and what more memory would buy.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { NtxError } from '../errors.js';
import type { Alternative, PlanAnswer } from './answer.js';
import { explainNoRoom } from './no-room.js';
import type { Plan, Prediction } from './plan.js';
import type { PlanRequest } from './request.js';
import {
  type AnswerWords,
  codesOf,
  decodeAnswer,
  encodeRequest,
  freeBytes,
  KINDS,
  type PlacementKind,
  type PlannedWords,
} from './wire.js';

const WASM = fileURLToPath(new URL('../../dist/planner.wasm', import.meta.url));
const GIB = 2 ** 30;
/** What is measured may differ by as much again before a mixture is 3 % slower than a pure plan. */
const WANTED_COST = 1.01;

/** planner/index.ts */
interface PlannerExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  reserve(words: number): number;
  plan(): number;
  words(): number;
}

/** Node has it; its declarations come only with those of a browser. */
interface WebAssemblyGlobal {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyGlobal };
let compiled: object | undefined;

/**
 * The placement with the least weighted seconds, its schedules and their simulation. Throws NtxError('no-memory') that names
 * the budget, what it lacks and the smallest budget or context that works, and NtxError('internal') for a request that
 * contradicts itself.
 * @param only what placements are chosen from, to compare: 'free' are all
 */
export function planModel(request: PlanRequest, only: PlacementKind = 'free'): PlanAnswer {
  const free = ask(request, only);
  if (free.status !== 'planned') throw explainNoRoom(request, (other) => ask(other, only).status === 'planned');
  const kinds = KINDS.filter((kind) => kind !== 'free' && only === 'free');
  const others = kinds.map((kind) => ({ kind: kind as Alternative['kind'], answer: ask(request, kind) }));
  const best = fastest(request, [free, ...others.map(({ answer }) => answer)]);
  const { seconds, steadyState, tiers, slots, staging, schedules, timelines } = best;
  const lowerBound = Math.min(free.lowerBound, steadyState);
  const total = (of: (index: number) => boolean) =>
    request.units.reduce((sum, { bytes }, index) => (of(index) ? sum + bytes : sum), 0);
  const sum = (sizes: readonly number[]) => sizes.reduce((all, bytes) => all + bytes, 0);
  return {
    plan: { tiers, slots, staging, schedules },
    fitsDevice: tiers.every((tier) => tier === 'device'),
    use: {
      device: total((unit) => tiers[unit] === 'device'),
      slots: sum(slots),
      host: total((unit) => tiers[unit] === 'host-copy' || tiers[unit] === 'host-compute'),
      staging: sum(staging),
    },
    objective: { seconds, steadyState, lowerBound },
    refused: others.map(({ kind, answer }) => ({ kind, seconds: secondsOf(answer) })),
    oneMoreGiB: {
      device: request.device && secondsOf(ask({ ...request, device: more(request.device) }, only)),
      host: secondsOf(ask({ ...request, host: more(request.host) }, only)) ?? [],
    },
    timelines,
  };
}

/**
 * What passes of a plan come to on a machine that has become another: the plan's request, with other rates. One for each of its
 * schedules. Throws NtxError('internal') for a plan of another model.
 */
export function predictPlan(request: PlanRequest, plan: Plan): Prediction[] {
  const { slots, staging } = plan;
  const rings = { slots: slots.length, staging: staging.length };
  const answer = ask({ ...request, rings }, 'free', codesOf(plan));
  if (answer.status !== 'planned') throw broken('the planner refuses its own plan');
  return answer.schedules.map(({ prediction }) => prediction);
}

/**
 * The steady state that placements are chosen by leaves out what the simulation sees: where that makes a mixture slower than a
 * pure plan, that is taken. Nor may the other classes make the wanted one slower than a pure plan by more than WANTED_COST.
 */
function fastest({ classes }: PlanRequest, answers: readonly (PlannedWords | { readonly status: 'no-room' })[]) {
  const weights = classes.map(({ weight }) => weight);
  const wanted = weights.indexOf(Math.max(...weights));
  const planned = answers.filter((answer) => answer.status === 'planned');
  const secondsOfWanted = ({ schedules }: PlannedWords) => schedules[wanted].prediction.seconds;
  const limit = WANTED_COST * Math.min(...planned.map(secondsOfWanted));
  const allowed = planned.filter((answer) => secondsOfWanted(answer) <= limit);
  return allowed.reduce((least, answer) => (answer.seconds < least.seconds ? answer : least));
}

function more<T extends { readonly bytes: number }>(budget: T): T {
  return { ...budget, bytes: budget.bytes + GIB };
}

function secondsOf(answer: AnswerWords): number[] | null {
  return answer.status === 'planned' ? answer.schedules.map(({ prediction }) => prediction.seconds) : null;
}

/** The planner's own answer: a plan, or that there is no room for one. Throws NtxError('internal') on anything else. */
function ask(
  request: PlanRequest,
  kind: PlacementKind,
  given: readonly number[] = [],
): PlannedWords | { readonly status: 'no-room' } {
  // What is always there has its place before any unit.
  if ([request.device, request.host].some((budget) => budget !== null && freeBytes(budget) < 0)) {
    return { status: 'no-room' };
  }
  const words = encodeRequest(request, kind, given);
  const planner = instantiate();
  const at = planner.reserve(words.length) >>> 0;
  if (at === 0) throw broken(`the request has ${words.length} words, too many for the planner`);
  new Float64Array(planner.memory.buffer, at, words.length).set(words);
  const answerAt = planner.plan() >>> 0;
  const answer = decodeAnswer(new Float64Array(planner.memory.buffer, answerAt, planner.words()), request);
  if (answer.status === 'malformed') throw broken(`the planner does not understand word ${answer.word} of its request`);
  if (answer.status === 'stuck') throw broken('the schedule of the planner cannot run');
  return answer;
}

function broken(message: string): NtxError {
  return new NtxError('internal', message, 'report this, with the output of "ntx plan --json"');
}

/** A fresh instance for each request: the planner never gives memory back. */
function instantiate(): PlannerExports {
  compiled ??= new WebAssembly.Module(readWasm());
  const abort = () => {
    throw broken('the planner stopped at a failed check');
  };
  return new WebAssembly.Instance(compiled, { env: { abort } }).exports as PlannerExports;
}

function readWasm(): Uint8Array {
  try {
    return readFileSync(WASM);
  } catch (cause) {
    throw new NtxError('internal', `${WASM} is missing`, 'build ntx: npm run build', { cause });
  }
}
