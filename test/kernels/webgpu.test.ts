import { testKernels } from './webgpu-cases.js';

testKernels('webgpu with all that the adapter has', {});
