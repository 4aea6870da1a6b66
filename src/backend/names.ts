/** What `--backend` takes. A file of its own: help texts need the names, and not the backends. */
export const BACKEND_NAMES = ['auto', 'cuda', 'webgpu', 'cpu', 'reference'] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];
