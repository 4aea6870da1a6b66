// Runs cases on any backend, through the Backend interface alone, and compares the outcome with the reference's.
import type {
  Backend,
  Bindings,
  BoundWeight,
  DeviceMemory,
  DeviceRange,
  HostMemory,
} from '../../src/backend/backend.js';
import { f16ToNumber } from '../../src/backend/reference/f16.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { StepBuffer } from '../../src/backend/step.js';
import { type KernelCase, type Pass, POISON, type Setup, type TestBuffer } from './case.js';
import { addLimits, type Limits, type Precision, type State } from './tolerance.js';

/** At least so many bytes before every operand: not a multiple of 64, because matrices are promised 32 only. */
const GUARD_BEFORE = 256 + 32;
/** At least so many after it. */
const GUARD_AFTER = 256;
/** Where the RMS of errors may lie, in standard deviations: 1 for rounding to nearest, 2 for cutting off. */
const RMS_LIMIT = 1.5;
/** Values from which on an RMS means something. */
const RMS_COUNT = 48;

/** What a case must give. */
export interface Expected {
  readonly setup: Setup;
  readonly state: State;
  readonly limits: Limits;
}

export interface Outcome {
  readonly state: State;
  /** Guard zones and weights that were written. */
  readonly faults: readonly string[];
}

/** Runs a case op by op on the reference, with the limits that its numbers give for a backend of this precision. */
export async function expectedOf(kernelCase: KernelCase, precision: Precision): Promise<Expected> {
  const setup = kernelCase.build();
  const limits: Limits = { values: new Map(), deviations: new Map() };
  for (const [name, { element, bytes }] of Object.entries(setup.buffers)) {
    const elements = bytes.length / (element === 'f32' ? 4 : 2);
    limits.values.set(name, new Float64Array(elements));
    limits.deviations.set(name, new Float64Array(elements));
  }
  const reference = createReferenceBackend();
  const operands = new Operands(reference, setup);
  let before = await operands.state();
  for (const pass of setup.passes) {
    for (const op of setup.ops) {
      const list = reference.record([op], operands.bindings);
      reference.submit(list, fillStep(operands.step(), pass));
      const after = await operands.state();
      addLimits({ op, setup, pass, before, after, precision }, limits);
      before = after;
    }
  }
  await reference.dispose();
  return { setup, state: before, limits };
}

/** Runs a setup as one list, all passes in a row, in segments that are cut at these ops. */
export async function runSetup(backend: Backend, setup: Setup, cuts: readonly number[] = []): Promise<Outcome> {
  const operands = new Operands(backend, setup);
  const list = backend.record(setup.ops, operands.bindings, cuts);
  // One step buffer for all: a backend that does not copy it in submit() shows.
  const step = operands.step();
  for (const pass of setup.passes) {
    fillStep(step, pass);
    for (let segment = 0; segment <= cuts.length; segment++) backend.submit(list, step, [], segment);
  }
  step.words.fill(0xffffffff);
  const state = await operands.state();
  const faults = await operands.faults();
  list.dispose();
  operands.free();
  return { state, faults };
}

/** Sets of cuts that change the bits of a setup's buffers; there should be none. */
export async function wrongCuts(backend: Backend, setup: Setup): Promise<string[]> {
  const every = setup.ops.slice(1).map((_, i) => i + 1);
  const { state } = await runSetup(backend, setup);
  const wrong: string[] = [];
  for (const cuts of [every, ...(every.length > 1 ? every.map((cut) => [cut]) : [])]) {
    const outcome = await runSetup(backend, setup, cuts);
    const names = [...state.keys()].filter((name) => Buffer.compare(state.get(name)!, outcome.state.get(name)!) !== 0);
    wrong.push(...[...names, ...outcome.faults].map((what) => `cut at ${cuts}: ${what}`));
  }
  return wrong;
}

/** What is wrong with an outcome, in sentences; empty when all is well. */
export function differences({ state, faults }: Outcome, expected: Expected): string[] {
  return [...faults, ...[...expected.state.keys()].flatMap((name) => compare(name, state.get(name)!, expected))];
}

function fillStep(step: StepBuffer, pass: Pass): StepBuffer {
  step.clear();
  for (const { token, position, slot } of pass.rows) step.addRow(token, position, slot);
  for (const { row, target } of pass.outputs) step.addOutput(row, target ?? undefined);
  return step;
}

/** A case's weights and buffers on a backend, each in a memory of its own with guard zones around it. */
class Operands {
  readonly bindings: Bindings;
  readonly #placed = new Map<string, { memory: DeviceMemory; bytes: Uint8Array }>();
  readonly #staging: HostMemory[] = [];
  /** GUARD_BEFORE, at an offset that the device can bind. */
  readonly #before: number;

  constructor(
    private readonly backend: Backend,
    private readonly setup: Setup,
  ) {
    const { offsetAlignment = 1 } = backend.device;
    this.#before = Math.ceil(GUARD_BEFORE / offsetAlignment) * offsetAlignment;
    const weights = new Map<string, BoundWeight>();
    const buffers = new Map<string, DeviceRange>();
    for (const [name, { type, rows, cols, bytes }] of Object.entries(setup.weights)) {
      weights.set(name, { type, rows, cols, range: this.#place(`weight ${name}`, bytes, backend.device.hostIsDevice) });
    }
    for (const [name, { bytes }] of Object.entries(setup.buffers)) {
      buffers.set(name, this.#place(`buffer ${name}`, bytes, false));
    }
    this.bindings = { weights, buffers, sizes: setup.sizes };
  }

  step(): StepBuffer {
    return new StepBuffer(this.setup.sizes.maxRows, this.setup.sizes.maxOutputs);
  }

  async state(): Promise<State> {
    const state = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const [name, range] of this.bindings.buffers) state.set(name, new Uint8Array(await this.backend.read(range)));
    return state;
  }

  async faults(): Promise<string[]> {
    const faults: string[] = [];
    for (const [label, { memory, bytes }] of this.#placed) {
      const now = Buffer.from(await this.backend.read({ memory, offset: 0, bytes: memory.bytes }));
      const wanted = withGuards(bytes, this.#before);
      const end = this.#before + bytes.length;
      const kept = (from: number, to: number) => now.compare(wanted, from, to, from, to) === 0;
      if (!kept(0, this.#before)) faults.push(`${label}: the zone before it was written`);
      if (!kept(end, wanted.length)) faults.push(`${label}: the zone after it was written`);
      if (label.startsWith('weight') && !kept(this.#before, end)) faults.push(`${label} was written`);
    }
    return faults;
  }

  free(): void {
    for (const memory of this.#staging) memory.free();
    for (const { memory } of this.#placed.values()) memory.free();
  }

  #place(label: string, bytes: Uint8Array, inHostMemory: boolean): DeviceRange {
    const contents = withGuards(bytes, this.#before);
    const host = this.backend.allocateHost(contents.length, label);
    host.view(0, contents.length).set(contents);
    const memory = inHostMemory ? host : this.#toDevice(host);
    this.#placed.set(label, { memory, bytes });
    return { memory, offset: this.#before, bytes: bytes.length };
  }

  #toDevice(host: HostMemory): DeviceMemory {
    const memory = this.backend.allocateDevice(host.bytes, host.label);
    const whole = { offset: 0, bytes: host.bytes };
    this.backend.copy({ memory: host, ...whole }, { memory, ...whole });
    this.#staging.push(host);
    return memory;
  }
}

function withGuards(bytes: Uint8Array, before: number): Uint8Array {
  const total = Math.ceil((before + bytes.length + GUARD_AFTER) / 4);
  const contents = new Uint8Array(new Uint32Array(total).fill(POISON).buffer);
  contents.set(bytes, before);
  return contents;
}

/** The numbers in a buffer, and their bits. */
export function numbersIn(bytes: Uint8Array<ArrayBuffer>, element: TestBuffer['element']) {
  if (element === 'f16') {
    const bits = new Uint16Array(bytes.buffer);
    return { bits, at: (i: number) => f16ToNumber(bits[i]) };
  }
  const values = new Float32Array(bytes.buffer);
  return { bits: new Uint32Array(bytes.buffer), at: (i: number) => values[i] };
}

function compare(name: string, actual: Uint8Array<ArrayBuffer>, expected: Expected): string[] {
  const { element } = expected.setup.buffers[name];
  const got = numbersIn(actual, element);
  const wanted = numbersIn(expected.state.get(name)!, element);
  const limits = expected.limits.values.get(name)!;
  const deviations = expected.limits.deviations.get(name)!;
  const problems: string[] = [];
  let wrong = 0;
  let squares = 0;
  let count = 0;
  for (let i = 0; i < limits.length; i++) {
    if (deviations[i] === 0 && got.bits[i] === wanted.bits[i]) continue;
    const error = Math.abs(got.at(i) - wanted.at(i));
    // Written so that NaN fails.
    const good = got.bits[i] === wanted.bits[i] || limits[i] === Number.POSITIVE_INFINITY || error <= limits[i];
    if (!good && wrong++ < 4) {
      const words = `bits ${got.bits[i].toString(16)}, expected ${wanted.bits[i].toString(16)}`;
      problems.push(`${name}[${i}]: ${got.at(i)}, expected ${wanted.at(i)} within ${limits[i]} (${words})`);
    }
    // Where rounding of the activations is what the limit is made of.
    if (deviations[i] > 0 && limits[i] < 7 * deviations[i]) {
      squares += (error / deviations[i]) ** 2;
      count++;
    }
  }
  if (wrong > 4) problems.push(`${name}: ${wrong} of ${limits.length} values are wrong`);
  const rms = Math.sqrt(squares / count);
  if (count >= RMS_COUNT && !(rms <= RMS_LIMIT)) {
    problems.push(`${name}: errors have an RMS of ${rms.toFixed(2)} standard deviations; ${RMS_LIMIT} is the most`);
  }
  return problems;
}
