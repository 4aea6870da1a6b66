import type { Bindings } from '../../backend.js';
import type { MatmulOp } from '../../ops.js';
import type { DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import type { Part, PartsProduct } from './product.js';
import { inputDispatches, productDispatches, scratchBytes } from './product.js';
import { chooseProducts } from './product-choice.js';
import { canCover } from './product-ranges.js';

/** Parts of one type that lie in one memory share a dispatch, others have their own. */
export function planMatmul(op: MatmulOp, bindings: Bindings, facts: DeviceFacts): KernelPlan {
  const over = op.outputs ? 'outputs' : 'rows';
  const maxRows = op.outputs ? bindings.sizes.maxOutputs : bindings.sizes.maxRows;
  const parts = op.parts.map(
    ({ weight, bias, out }): Part => ({
      weight: bindings.weights.get(weight)!,
      bias: bias === null ? null : bindings.weights.get(bias)!.range,
      out: bindings.buffers.get(out)!,
    }),
  );
  const products = fuse(parts, facts).map(
    (group): PartsProduct => ({
      kind: 'parts',
      input: bindings.buffers.get(op.input)!,
      parts: group,
      mode: op.accumulate ? 'accumulate' : 'store',
      over,
    }),
  );
  return planProducts(products, maxRows, facts);
}

/** Products of one input, in their order. */
export function planProducts(products: readonly PartsProduct[], maxRows: number, facts: DeviceFacts): KernelPlan {
  const { cols } = products[0].parts[0].weight;
  const choices = products.map(({ parts }) => {
    const rows = parts.reduce((sum, { weight }) => sum + weight.rows, 0);
    return chooseProducts({ type: parts[0].weight.type, cols, rows, gated: false }, maxRows, facts);
  });
  let bytes = 0;
  const variants = choices[0].map(({ maxRows: rows }, v) => {
    const dispatches: Dispatch[] = [];
    let prepared = false;
    products.forEach((product, i) => {
      const { choice } = choices[i][v];
      // The activations in scratch serve all products of the input: coded types have one choice.
      if (!prepared) {
        const inputs = inputDispatches(product, choice, rows, facts);
        prepared = inputs.length > 0;
        dispatches.push(...inputs);
      }
      bytes = Math.max(bytes, scratchBytes(product, choice, rows));
      dispatches.push(...productDispatches(product, choice, rows, facts));
    });
    return { maxRows: rows, dispatches };
  });
  return { over: products[0].over, variants, scratchBytes: bytes };
}

/** Neighbouring parts that one dispatch can compute. */
function fuse(parts: readonly Part[], facts: DeviceFacts): Part[][] {
  const groups: Part[][] = [];
  for (const part of parts) {
    const group = groups.at(-1);
    if (group && canFuse([...group, part], facts)) group.push(part);
    else groups.push([part]);
  }
  return groups;
}

function canFuse(parts: readonly Part[], facts: DeviceFacts): boolean {
  const biases = parts.flatMap(({ bias }) => (bias ? [bias] : []));
  return (
    parts.every(({ weight }) => weight.type === parts[0].weight.type) &&
    canCover(
      parts.map(({ weight }) => weight.range),
      facts,
    ) &&
    (biases.length === 0 || canCover(biases, facts))
  );
}
