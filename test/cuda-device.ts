// The CUDA device of the tests. Nothing is skipped where there is none: these tests are a project of their own.
import { type CudaBackend, createCudaBackend } from '../src/backend/cuda/cuda.js';
import { NtxError } from '../src/errors.js';

export function openCudaDevice(): CudaBackend {
  try {
    return createCudaBackend();
  } catch (error) {
    if (!(error instanceof NtxError)) throw error;
    const advice = 'the project "cuda" needs an NVIDIA GPU; "npm test" leaves it out';
    throw new Error(`${error.message}; ${error.advice}; ${advice}`, { cause: error });
  }
}
