// The models that benchmarks run: [shape, type], written with `ntx synth`.
import { statSync } from 'node:fs';
import { join } from 'node:path';

export function modelPath({ folder }, [shape, type]) {
  return join(folder, `${shape}-${type}.gguf`);
}

/** Why this machine cannot write or hold these models, one at a time in RAM; null where it can. */
export function modelProblem(machine, models) {
  const gibibytes = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const isThere = (model) => statSync(modelPath(machine, model), { throwIfNoEntry: false }) !== undefined;
  const toWrite = models.filter((model) => !isThere(model)).reduce((sum, model) => sum + machine.modelBytes(model), 0);
  if (toWrite > 0.95 * machine.diskBytes) {
    return `models of ${gibibytes(toWrite)} have to be written, and ${machine.folder} has ${gibibytes(machine.diskBytes)}`;
  }
  const largest = Math.max(0, ...models.map(machine.modelBytes));
  if (largest > 0.8 * machine.ramBytes) {
    return `a model takes ${gibibytes(largest)} of RAM, and ${gibibytes(machine.ramBytes)} are free`;
  }
  return null;
}
