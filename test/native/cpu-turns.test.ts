// Hand-overs in turns between a device and the CPU's threads: the reference backend as the device, which knows no hurry.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { createCpuBackend } from '../../src/backend/cpu/cpu.js';
import type { Output } from '../../src/backend/outputs.js';
import { createReferenceBackend } from '../../src/backend/reference/reference.js';
import { openModel } from '../../src/index.js';
import { createForward, type LoadedForward } from '../../src/load-forward.js';
import type { OpenedModel } from '../../src/open-model.js';
import { STORIES } from '../model/files.js';
import { runBatches, SIZES } from '../streaming/invariance.js';
import { planOf } from '../streaming/plans.js';

const BATCHES = [
  [4, 2],
  [1, 1],
] as const;

let opened: OpenedModel;
let device: Backend;
let loaded: LoadedForward;
let turns: number;
/** Called at every turn that the device is given, with its number. */
let onTurn: (turn: number) => void;

beforeEach(async () => {
  opened = await openModel(STORIES);
  device = createReferenceBackend();
  turns = 0;
  onTurn = () => {};
  const handOver = device.handOver!.bind(device);
  device.handOver = (...args) => {
    const fence = handOver(...args);
    onTurn(++turns);
    return fence;
  };
  const choice = { tiers: [1, 3, 0, 3], slots: 2, staging: 1, turns: [0, 1], alignment: 512, inPlace: false };
  const createCpu = () => createCpuBackend({ threads: 2, besideDevice: true });
  loaded = await createForward(opened, device, SIZES, { plan: planOf(opened, choice), createCpu });
});

afterEach(() => device.dispose());

const run = (): Promise<Output[][]> => runBatches(loaded, BATCHES);

describe('turns of the CPU', () => {
  test('are one for each unit of a pass, and repeat their bits', async () => {
    const first = await run();
    expect(turns).toBe(2 * BATCHES.length * opened.model.config.layers);
    expect(await run()).toEqual(first);
    await loaded.free();
  });

  test('of a pass that is given up are taken all the same: the next is right', async () => {
    const wanted = await run();
    const abort = new AbortController();
    const last = turns + 2;
    onTurn = (turn) => turn === last && abort.abort();
    loaded.forward.step.clear();
    loaded.forward.step.addOutput(loaded.forward.step.addRow(1, 0, 0));
    await expect(loaded.forward.pass(abort.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(turns).toBe(last);
    expect(await run()).toEqual(wanted);
    await loaded.free();
  });

  test('end before the memory that they are taken in is freed', async () => {
    let freed: Promise<void> | undefined;
    onTurn = (turn) => {
      if (turn === 3) freed = loaded.free();
    };
    await expect(run()).rejects.toMatchObject({ code: 'cancelled' });
    await freed;
    // The device is well.
    const memory = device.allocateDevice(64, 'afterwards');
    expect((await device.read({ memory, offset: 0, bytes: 64 })).byteLength).toBe(64);
  });
});
