// Rows of f32 to codes of 8 bits, a dispatch of its own (kernels/wgsl/code-rows.wgsl).
import type { DeviceRange } from '../../backend.js';
import type { BindingSlot, DeviceFacts, Dispatch } from '../kernel.js';
import { wgsl } from '../wgsl.js';
import { cover } from './product-ranges.js';

/** Values of a workgroup: few, so that the many values of one row have many workgroups. */
const VALUES = 256;

export interface CodeRows {
  readonly input: DeviceRange;
  readonly width: number;
  /** null: scratch. */
  readonly out: DeviceRange | null;
  /** A norm's weights to multiply with, in rows or in outputs of the step. */
  readonly norm: { readonly weight: DeviceRange; readonly selectOutputs: boolean; readonly maxRows: number } | null;
}

export function codeRowsDispatch({ input, width, out, norm }: CodeRows, facts: DeviceFacts): Dispatch {
  const from = cover([input], facts);
  const to = out && cover([out], facts);
  // Eight neighbouring invocations lie in one, whatever its size.
  const subgroups = facts.subgroups && facts.subgroupMinSize >= 8;
  const weight = norm && cover([norm.weight], facts);
  const slots: BindingSlot[] = [
    { range: from.range, access: 'read' },
    to ? { range: to.range, access: 'read-write' } : 'scratch',
  ];
  return {
    label: `${norm ? 'rms-norm to' : 'to'} codes ${width}`,
    code: wgsl(
      ...(subgroups ? ['subgroups', 'code-rows.subgroups'] : ['code-rows.no-subgroups']),
      ...(norm ? ['code-rows.normed'] : ['code-rows.plain']),
      'code-rows',
      'code-rows.write',
    ),
    constants: {
      CODED_WIDTH: width,
      VALUES,
      INPUT: from.offsets[0] / 4,
      CODED: to ? to.offsets[0] / 4 : 0,
      ...(norm &&
        weight && {
          WEIGHT: weight.offsets[0] / 4,
          SELECT_OUTPUTS: Number(norm.selectOutputs),
          MAX_ROWS: norm.maxRows,
        }),
    },
    bindings: weight ? [...slots, { range: weight.range, access: 'read' }, 'step'] : slots,
    groups: (rows) => [rows === 0 ? 0 : Math.ceil(width / VALUES), rows, 1],
    weightBytes: 0,
  };
}
