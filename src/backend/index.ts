// Choosing a backend. Only this file knows which ones there are.
import { NtxError } from '../errors.js';
import type { Backend } from './backend.js';
import { createCpuBackend } from './cpu/cpu.js';
import { createCudaBackend } from './cuda/cuda.js';
import { BACKEND_NAMES, type BackendName } from './names.js';
import { createReferenceBackend } from './reference/reference.js';
import { mayHaveGpu } from './webgpu/adapter.js';
import { createWebGpuBackend } from './webgpu/webgpu.js';

export { BACKEND_NAMES, type BackendName } from './names.js';

export interface BackendOptions {
  readonly backend?: BackendName | undefined;
  /** Threads of the cpu backend; default: the cores that this process may use. */
  readonly threads?: number | undefined;
  /** Adapter of the webgpu backend: a part of its name, or its number in listAdapters(). Default: the first hardware one. */
  readonly adapter?: string | undefined;
}

/**
 * `auto` takes cuda where its addon was built and opens a device, else webgpu where there is a hardware adapter, else cpu where
 * its addon was built, else reference. An adapter that is asked for means webgpu. Throws NtxError('no-backend') with the reason.
 */
export async function createBackend(options: BackendOptions = {}): Promise<Backend> {
  const { backend: name = 'auto', threads, adapter } = options;
  const cpu = () => createCpuBackend(threads === undefined ? {} : { threads });
  switch (name) {
    case 'auto':
      if (adapter !== undefined) return createWebGpuBackend({ adapter });
      return firstOf([
        createCudaBackend,
        ...(mayHaveGpu() ? [() => createWebGpuBackend()] : []),
        cpu,
        createReferenceBackend,
      ]);
    case 'cuda':
      return createCudaBackend();
    case 'webgpu':
      return createWebGpuBackend({ adapter });
    case 'cpu':
      return cpu();
    case 'reference':
      return createReferenceBackend();
    default: {
      const message = `backend "${name}" is not one of ${BACKEND_NAMES.join(', ')}`;
      throw new NtxError('bad-argument', message, 'choose one of these');
    }
  }
}

/** The first that this machine has; what the last one throws. */
async function firstOf(candidates: readonly (() => Backend | Promise<Backend>)[]): Promise<Backend> {
  for (const [index, create] of candidates.entries()) {
    try {
      return await create();
    } catch (error) {
      const absent = error instanceof NtxError && error.code === 'no-backend';
      if (!absent || index === candidates.length - 1) throw error;
    }
  }
  throw new NtxError('no-backend', 'there is no backend', 'report this');
}
