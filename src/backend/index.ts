// Choosing a backend. Only this file knows which ones there are.
import { NtxError } from '../errors.js';
import type { Backend } from './backend.js';
import { createCpuBackend } from './cpu/cpu.js';
import { createReferenceBackend } from './reference/reference.js';

export const BACKEND_NAMES = ['auto', 'cpu', 'reference'] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

export interface BackendOptions {
  readonly backend?: BackendName | undefined;
  /** Threads of the cpu backend; default: the cores that this process may use. */
  readonly threads?: number | undefined;
}

/** `auto` takes cpu where its addon was built, else reference. Throws NtxError('no-backend') with the reason. */
export function createBackend(options: BackendOptions = {}): Backend {
  const name = options.backend ?? 'auto';
  if (!BACKEND_NAMES.includes(name)) {
    throw new NtxError(
      'bad-argument',
      `backend "${name}" is not one of ${BACKEND_NAMES.join(', ')}`,
      'choose one of these',
    );
  }
  if (name === 'reference') return createReferenceBackend();
  try {
    return createCpuBackend(options.threads === undefined ? {} : { threads: options.threads });
  } catch (error) {
    if (name === 'auto' && error instanceof NtxError && error.code === 'no-backend') return createReferenceBackend();
    throw error;
  }
}
