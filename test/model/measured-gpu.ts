// What holds for the measurement of any GPU.
import { expect } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import type { Machine } from '../../src/placement/machine.js';
import { parseMachine } from '../../src/placement/machine-json.js';
import { measureMachine } from '../../src/placement/measure/measure.js';
import { planFor } from '../../src/placement/plan-for.js';
import { shapeModel } from '../../src/synth/shape-model.js';
import { FABLE } from './files.js';

/** Measures a backend with a link, and plans with what was found. */
export async function measureGpu(backend: Backend): Promise<Machine> {
  const probes: string[] = [];
  const onProgress = (probe: string) => void probes.push(probe);
  const machine = await measureMachine({ backend, types: ['Q4_K'], files: [FABLE], onProgress });
  expect(probes).toEqual(['device', 'link', 'processor', 'host memory', 'disks']);
  // What was measured is a description, and nothing in it is impossible.
  expect(parseMachine(JSON.stringify(machine), 'measured')).toEqual(machine);
  const { type: _, ...besideLink } = machine.host.withLink!;
  const rates = [machine.device.readRate, machine.host.readRate, ...Object.values(besideLink)];
  for (const rate of [...rates, ...machine.link!.copies.map((copy) => copy.rate)]) {
    expect(rate > 1e7 && rate < 1e13, `${rate}`).toBe(true);
  }
  expect(machine.device.products.Q4_K![0].rows).toBe(1);
  expect(machine.host.withLink!.type).toBe('Q4_K');
  expect(machine.host.withLink!.readRate).toBeLessThanOrEqual(machine.host.readRate);
  const { gguf, model } = shapeModel('llama-1b', 'Q4_K');
  const sizes = { maxRows: 64, maxOutputs: 8, slots: 1, context: 512 };
  const host = { name: 'RAM', totalBytes: 2 ** 34, freeBytes: null } as const;
  const device = { name: 'VRAM', totalBytes: 2 ** 34, freeBytes: null } as const;
  const { answer } = planFor(gguf, model, machine, { sizes, memories: { device, host }, vram: { bytes: 2 ** 29 } });
  expect(answer.plan.schedules[0].prediction.seconds).toBeGreaterThan(0);
  return machine;
}
