import { readFileSync } from 'node:fs';
import { NtxError } from '../../errors.js';

/** The same from src/ and from dist/, which have the same depth. */
const FOLDER = new URL('../../../kernels/wgsl/', import.meta.url);

const texts = new Map<string, string>();

/** The text of kernels/wgsl/<name>.wgsl for each name, joined in their order. WGSL has no include: joining is all. */
export function wgsl(...names: readonly string[]): string {
  return names.map(fileText).join('\n');
}

function fileText(name: string): string {
  let text = texts.get(name);
  if (text === undefined) {
    text = readText(name);
    texts.set(name, text);
  }
  return text;
}

function readText(name: string): string {
  try {
    return readFileSync(new URL(`${name}.wgsl`, FOLDER), 'utf8');
  } catch (error) {
    const message = `the webgpu backend has no kernel text ${name}.wgsl`;
    throw new NtxError('unsupported', message, 'choose another --backend, or install ntx again', { cause: error });
  }
}
