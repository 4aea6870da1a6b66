// What this machine can measure: which backends open, how much memory and disk there is. Needs dist/.
import { cpuVariants } from '../dist/backend/cpu/cpu.js';
import { createBackend } from '../dist/backend/index.js';
import { mayHaveGpu } from '../dist/backend/webgpu/adapter.js';
import { hostMemory } from '../dist/placement/budget.js';
import { describeDisk } from '../dist/placement/system.js';
import { shapeModel } from '../dist/synth/shape-model.js';

/**
 * @param {string} folder where models are written
 * A backend is { name, memoryBytes } (0: unknown) or { missing: reason }.
 */
export async function machineFacts(folder) {
  return {
    folder,
    modelBytes,
    backends: { cpu: await opened('cpu'), cuda: await opened('cuda'), webgpu: await opened('webgpu') },
    cpuVariants: cpuVariants(),
    ramBytes: hostMemory().freeBytes,
    diskBytes: describeDisk(folder).freeBytes,
  };
}

async function opened(name) {
  if (name === 'webgpu' && !mayHaveGpu()) return { missing: 'this machine has no GPU' };
  try {
    const backend = await createBackend({ backend: name });
    const { device } = backend;
    await backend.dispose();
    return { name: device.name, memoryBytes: device.memoryBytes };
  } catch (error) {
    return { missing: error.message };
  }
}

function modelBytes([shape, type]) {
  const { model } = shapeModel(shape, type);
  const tied = model.units.some(({ tensors }) => tensors.includes(model.embedding));
  return model.units.reduce((sum, { bytes }) => sum + bytes, tied ? 0 : model.embedding.bytes);
}
