import { TYPES, typeBytes } from '../../../gguf/types.js';
import type { Bindings } from '../../backend.js';
import type { EmbedOp } from '../../ops.js';
import type { KernelPlan } from '../kernel.js';
import { GpuMemory } from '../memory.js';
import { wgsl } from '../wgsl.js';
import { typeText } from './product-text.js';

const THREADS = 64;
/** What an invocation decodes; quantised types have whole sixteens in a row. */
const WEIGHTS = 16;

/** Rows that the host gathers start at whole words. */
export function gatheredStride(rowBytes: number): number {
  return Math.ceil(rowBytes / 4) * 4;
}

/** A table in device memory is read where it is; of one in host memory, the usual place, the pass brings its rows along. */
export function planEmbed(op: EmbedOp, bindings: Bindings): KernelPlan {
  const { type, cols, range: product, table: range = product } = bindings.weights.get(op.table)!;
  const { maxRows } = bindings.sizes;
  const rowBytes = typeBytes(type, cols);
  const gathered = !(range.memory instanceof GpuMemory);
  return {
    over: 'rows',
    scratchBytes: 0,
    variants: [
      {
        maxRows,
        dispatches: [
          {
            label: `embed ${TYPES[type].name} ${cols}`,
            code: `${typeText(type, 1)}\n${wgsl('embed')}`,
            constants: {
              ...{ K: cols, ROW_BYTES: rowBytes, THREADS },
              STRIDE: gathered ? gatheredStride(rowBytes) : rowBytes,
              GATHERED: Number(gathered),
            },
            bindings: [
              gathered ? 'embedded' : { range, access: 'read' },
              'step',
              { range: bindings.buffers.get(op.out)!, access: 'read-write' },
            ],
            groups: (rows) => [Math.ceil(cols / WEIGHTS / THREADS), rows, 1],
            weightBytes: 0,
          },
        ],
      },
    ],
  };
}
