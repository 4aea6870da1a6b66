import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu.js';
import { openDevice } from '../../src/backend/webgpu/adapter.js';
import { matmulCases } from './cases/matmul.js';
import { runSetup } from './harness.js';
process.env.GALLIVM_PERF ??= 'nopt';
it('hash', async () => {
  for (const vendor of ['mesa', 'a GPU']) {
  const opened = await openDevice({ adapter: '0' });
  const backend = new WebGpuBackend({ ...opened, facts: { ...opened.facts, vendor } });
  const cases = matmulCases.filter((c) => /accumulated|three with biases|of one input|1 row, tall|extreme blocks, 9|uneven|columns|no outputs/.test(c.name)).filter((c, i) => vendor === 'mesa' || i % 4 === 0);
  for (const c of cases) {
    const { state } = await runSetup(backend, c.build());
    const h = createHash('sha256');
    for (const [n, b] of state) h.update(n).update(b);
    appendFileSync(process.env.HASHES!, `${vendor} ${c.name} ${h.digest('hex')}\n`);
  }
  expect(cases.length).toBeGreaterThan(5);
  await backend.dispose();
  }
}, 590_000);
