import { testKernels } from './webgpu-cases.js';

// Default limits (8 storage buffers, 256 invocations, 16 KiB of workgroup memory), no subgroups, no f16.
testKernels('webgpu with what every device has', { portable: true });
