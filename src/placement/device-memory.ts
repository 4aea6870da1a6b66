// What is free of a GPU's memory. CUDA says so; WebGPU does not, so that the driver's own ways are asked.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Backend } from '../backend/backend.js';
import type { MemoryFacts } from './budget.js';

const NVIDIA_SMI_MS = 5000;

/** null where nobody says: then `--vram` has to. */
export async function deviceMemory(backend: Pick<Backend, 'device' | 'memory'>): Promise<MemoryFacts | null> {
  const known = backend.memory?.();
  if (known) return { name: 'VRAM', totalBytes: known.total, freeBytes: known.free };
  const { kind, name } = backend.device;
  if (kind === 'discrete-gpu') return /nvidia/i.test(name) ? nvidiaMemory(name) : amdMemory();
  // Integrated and software adapters take RAM; a share of it is what they are given.
  return null;
}

/** Of the card whose name is a part of the adapter's, or of the only one. */
async function nvidiaMemory(adapter: string): Promise<MemoryFacts | null> {
  const query = ['--query-gpu=name,memory.total,memory.free', '--format=csv,noheader,nounits'];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: NVIDIA_SMI_MS });
    return nvidiaFacts(stdout, adapter);
  } catch {
    return null;
  }
}

/** Lines of "NVIDIA H100 80GB HBM3, 81559, 80994", in MiB. */
export function nvidiaFacts(lines: string, adapter: string): MemoryFacts | null {
  const cards = lines
    .trim()
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.trim()));
  const card = cards.find(([name]) => adapter.includes(name)) ?? (cards.length === 1 ? cards[0] : undefined);
  const [total, free] = (card ?? []).slice(1).map((mebibytes) => Number(mebibytes) * 2 ** 20);
  if (!(total > 0 && free >= 0)) return null;
  return { name: 'VRAM', totalBytes: total, freeBytes: free };
}

/** Of the only card of amdgpu; which of several an adapter is, no name tells. */
function amdMemory(root = '/sys/class/drm'): MemoryFacts | null {
  const read = (path: string) => Number(readFileSync(path, 'utf8'));
  try {
    const cards = readdirSync(root).filter((name) => /^card\d+$/.test(name));
    const found = cards.flatMap((card) => {
      try {
        const folder = `${root}/${card}/device`;
        return [{ total: read(`${folder}/mem_info_vram_total`), used: read(`${folder}/mem_info_vram_used`) }];
      } catch {
        return [];
      }
    });
    if (found.length !== 1) return null;
    const [{ total, used }] = found;
    return { name: 'VRAM', totalBytes: total, freeBytes: total - used };
  } catch {
    return null;
  }
}
