import type { Bindings } from '../../backend.js';
import type { MatmulOp } from '../../ops.js';
import { CODED_ROWS, canHandOn, type OpFlow } from '../flow.js';
import type { DeviceFacts, Dispatch, KernelPlan } from '../kernel.js';
import type { Part, PartsProduct, Product } from './product.js';
import { inputDispatches, productDispatches, scratchBytes } from './product.js';
import { chooseProducts, type ProductShape } from './product-choice.js';
import { canCover } from './product-ranges.js';

/** Parts of one type that lie in one memory share a dispatch, others have their own. */
export function planMatmul(op: MatmulOp, bindings: Bindings, facts: DeviceFacts, flow: OpFlow): KernelPlan {
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
      flow,
    }),
  );
  return planProducts(products, maxRows, facts);
}

/** Products of one input, in their order. */
export function planProducts(products: readonly Product[], maxRows: number, facts: DeviceFacts): KernelPlan {
  const choices = products.map((product) => chooseProducts(shapeOf(product, facts), maxRows, facts));
  let bytes = 0;
  const variants = choices[0].map(({ maxRows: rows }, v) => {
    const dispatches: Dispatch[] = [];
    let prepared = false;
    products.forEach((product, i) => {
      const { choice } = choices[i][v];
      const { flow: _, ...plain } = product;
      const handed = rows <= CODED_ROWS ? product : plain;
      // The activations in scratch serve all products of the input: coded types have one choice.
      if (!prepared) {
        const inputs = inputDispatches(handed, choice, rows, facts);
        prepared = inputs.length > 0;
        dispatches.push(...inputs);
      }
      bytes = Math.max(bytes, scratchBytes(handed, choice, rows));
      dispatches.push(...productDispatches(handed, choice, rows, facts));
    });
    return { maxRows: rows, dispatches };
  });
  return { over: products[0].over, variants, scratchBytes: bytes };
}

/**
 * Whatever may hand on codes is cut for it, in every list: how a product's sums are cut decides their last bits, which must not
 * depend on what else is in a list.
 */
function shapeOf(product: Product, facts: DeviceFacts): ProductShape {
  if (product.kind === 'gated') {
    const { type, cols, rows } = product.gate;
    return { type, cols, rows: 2 * rows, gated: true, inBlocks: canHandOn(facts) && rows % 32 === 0 };
  }
  const { parts, mode } = product;
  const { type, cols } = parts[0].weight;
  const rows = parts.reduce((sum, { weight }) => sum + weight.rows, 0);
  const inBlocks = canHandOn(facts) && parts.length === 1 && mode === 'accumulate' && rows % 32 === 0;
  return { type, cols, rows, gated: false, inBlocks };
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
