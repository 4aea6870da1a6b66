import type { Bindings } from '../../backend.js';
import type { RmsNormOp } from '../../ops.js';
import type { DeviceFacts, KernelPlan } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { reduction, threadsFor } from './launch.js';

/** One workgroup a row: a row of 4096 is 16 KiB, which many invocations share so that none waits for long. */
export function planRmsNorm(op: RmsNormOp, bindings: Bindings, facts: DeviceFacts): KernelPlan {
  const { width, eps, selectOutputs } = op;
  const { maxRows, maxOutputs } = bindings.sizes;
  const reduce = reduction(facts, threadsFor(width / 4, facts, 1024));
  return {
    over: selectOutputs ? 'outputs' : 'rows',
    scratchBytes: 0,
    variants: [
      {
        maxRows: selectOutputs ? maxOutputs : maxRows,
        dispatches: [
          {
            label: `rms-norm ${width}`,
            code: `${reduce.code}\n${wgsl('rms-norm')}`,
            constants: {
              ...reduce.constants,
              WIDTH: width,
              EPS: eps,
              SELECT_OUTPUTS: Number(selectOutputs),
              MAX_ROWS: maxRows,
            },
            bindings: [
              { range: bindings.buffers.get(op.input)!, access: 'read' },
              { range: bindings.weights.get(op.weight)!.range, access: 'read' },
              { range: bindings.buffers.get(op.out)!, access: 'read-write' },
              'step',
            ],
            groups: (rows) => [rows, 1, 1],
            weightBytes: 0,
          },
        ],
      },
    ],
  };
}
