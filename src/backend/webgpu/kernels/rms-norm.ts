import type { Bindings } from '../../backend.js';
import type { RmsNormOp } from '../../ops.js';
import { CODED_ROWS, type OpFlow } from '../flow.js';
import type { DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { codeRowsDispatch } from './code-rows.js';
import { reduction, threadsFor } from './launch.js';

/** One workgroup a row: a row of 4096 is 16 KiB, which many invocations share so that none waits for long. */
export function planRmsNorm(op: RmsNormOp, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
  const { width, eps, selectOutputs } = op;
  const { maxRows, maxOutputs } = bindings.sizes;
  const most = selectOutputs ? maxOutputs : maxRows;
  const reduce = reduction(facts, threadsFor(width / 4, facts, 1024));
  const input = bindings.buffers.get(op.input)!;
  const weight = bindings.weights.get(op.weight)!.range;
  const dispatch: Dispatch = {
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
      { range: input, access: 'read' },
      { range: weight, access: 'read' },
      { range: bindings.buffers.get(op.out)!, access: 'read-write' },
      'step',
    ],
    groups: (rows) => [rows, 1, 1],
    weightBytes: 0,
  };
  const values = { maxRows: most, dispatches: [dispatch] };
  const codes = {
    maxRows: Math.min(CODED_ROWS, most),
    dispatches: flow.output
      ? [codeRowsDispatch({ input, width, out: flow.output.out, norm: { weight, selectOutputs, maxRows } }, facts)]
      : [],
  };
  const few = flow.done || flow.output ? [codes] : [];
  return {
    over: selectOutputs ? 'outputs' : 'rows',
    scratchBytes: 0,
    variants: few.length > 0 && most <= CODED_ROWS ? few : [...few, values],
  };
}
