import { afterAll, beforeAll } from 'vitest';
import type { CudaBackend } from '../../src/backend/cuda/cuda.js';
import { openCudaDevice } from '../cuda-device.js';
import { drawingTests } from './drawing.js';

let backend: CudaBackend;
beforeAll(() => {
  backend = openCudaDevice();
});
afterAll(() => backend?.dispose());

drawingTests(() => backend, openCudaDevice);
