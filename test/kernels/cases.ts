// The one list of kernel cases, for every backend.
import type { KernelCase } from './case.js';
import { attentionCases } from './cases/attention.js';
import { embedCases } from './cases/embed.js';
import { gatedMatmulCases } from './cases/gated-matmul.js';
import { matmulCases } from './cases/matmul.js';
import { rmsNormCases } from './cases/rms-norm.js';
import { ropeKvWriteCases } from './cases/rope-kv-write.js';
import { sequenceCases } from './cases/sequence.js';
import { topKCases } from './cases/top-k.js';

export const KERNEL_CASES: readonly KernelCase[] = [
  ...embedCases,
  ...rmsNormCases,
  ...matmulCases,
  ...gatedMatmulCases,
  ...ropeKvWriteCases,
  ...attentionCases,
  ...topKCases,
  ...sequenceCases,
];
