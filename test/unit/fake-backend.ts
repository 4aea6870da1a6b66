import type {
  Backend,
  CommandList,
  DeviceMemory,
  DeviceRange,
  DrawnPass,
  Fence,
  KernelTiming,
  PassSizes,
} from '../../src/backend/backend.js';
import { CANDIDATES, outputBytes } from '../../src/backend/outputs.js';
import { StepBuffer } from '../../src/backend/step.js';
import { Forward, type Passes } from '../../src/forward.js';

const memory: DeviceMemory = { bytes: 2 ** 30, label: 'fake', free: () => {} };
const list: CommandList = { opCount: 0, dispose: () => {} };
const fence: Fence = { backend: 'reference' };

/**
 * A backend whose logits are a hash of all tokens that the row's slot holds up to the row's position: any mistake in rows,
 * positions, slots or cache reuse changes what it says next.
 */
export class FakeBackend implements Pick<Backend, 'submit' | 'profile' | 'read' | 'wait'> {
  readonly passes: { rows: number; outputs: number }[] = [];
  /** Of tokens that are drawn, the place among the candidates; null: it cannot draw. */
  drawnPlace: ((position: number) => number) | null = null;
  /** What tokens are drawn from does not come. */
  failsToRead = false;
  private readonly caches = new Map<number, number[]>();
  private results = new ArrayBuffer(0);

  constructor(readonly vocabulary: number) {}

  forward(sizes: PassSizes): Forward {
    const range: DeviceRange = { memory, offset: 0, bytes: sizes.maxOutputs * outputBytes(CANDIDATES) };
    const passes: Passes = {
      run: async (step) => this.submit(list, step),
      submitDrawn: (step) => this.submitDrawn(step),
      ahead: () => {},
      recordingFor: () => ({ list, segments: [null] }),
    };
    return new Forward(this as unknown as Backend, passes, range, sizes);
  }

  /** The logits after `tokens`, in a vocabulary of at most CANDIDATES. */
  logits(tokens: readonly number[]): number[] {
    let hash = 2166136261;
    for (const token of tokens) hash = Math.imul(hash ^ (token + 1), 16777619) >>> 0;
    return Array.from({ length: this.vocabulary }, (_, token) => {
      return (Math.imul(hash ^ (token + 1), 2654435761) >>> 8) / 2 ** 22;
    });
  }

  submit(_: CommandList, step: StepBuffer): Fence {
    for (let index = 0; index < step.rows; index++) {
      const { token, position, slot } = step.row(index);
      const cache = this.caches.get(slot) ?? [];
      this.caches.set(slot, cache);
      if (position > cache.length) throw new Error(`row ${index}: position ${position} of ${cache.length} held`);
      cache[position] = token;
    }
    this.results = new ArrayBuffer(step.outputs * outputBytes(CANDIDATES));
    for (let index = 0; index < step.outputs; index++) this.writeOutput(step, index);
    this.passes.push({ rows: step.rows, outputs: step.outputs });
    return fence;
  }

  private submitDrawn(step: StepBuffer): DrawnPass | null {
    const { position, slot } = step.row(0);
    if (this.drawnPlace === null) return null;
    const candidates = this.results.slice(0, outputBytes(CANDIDATES));
    const words = new Uint32Array(candidates);
    const token = words[4 + 2 * this.drawnPlace(position)];
    words[3] = token + 1;
    const drawn = new StepBuffer(step.maxRows, step.maxOutputs);
    drawn.addOutput(drawn.addRow(token, position, slot));
    const read = this.failsToRead ? Promise.reject(new Error('no candidates')) : Promise.resolve(candidates);
    return { fence: this.submit(list, drawn), candidates: read };
  }

  async profile(_: CommandList, step: StepBuffer): Promise<readonly KernelTiming[]> {
    this.submit(list, step);
    return [];
  }

  async read(range: DeviceRange): Promise<ArrayBuffer> {
    return this.results.slice(0, range.bytes);
  }

  async wait(): Promise<void> {}

  private writeOutput(step: StepBuffer, index: number): void {
    const { row, target } = step.output(index);
    const { slot, position } = step.row(row);
    const logits = this.logits(this.caches.get(slot)!.slice(0, position + 1));
    const order = logits.map((_, token) => token).sort((a, b) => logits[b] - logits[a] || a - b);
    const words = new Uint32Array(this.results, index * outputBytes(CANDIDATES));
    const floats = new Float32Array(this.results, index * outputBytes(CANDIDATES));
    floats[0] = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    floats[1] = target === null ? 0 : logits[target];
    words[2] = order.length;
    order.forEach((token, i) => {
      words[4 + 2 * i] = token;
      floats[5 + 2 * i] = logits[token];
    });
  }
}
