import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openGguf } from '../../src/gguf/open.js';
import { entry, ggufFile, ntxError, temporaryFolder, tensor, text, u32 } from './gguf-bytes.js';

const folder = temporaryFolder();
let folders = 0;

function save(bytes: Uint8Array, name: string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe('split models', () => {
  const shard = (no: number, count: number, names: string[], total = 3) =>
    ggufFile({
      entries: [
        ...(no === 0 ? [entry('general.architecture', 8, text('llama'))] : []),
        entry('split.no', 2, Buffer.from([no, 0])),
        entry('split.count', 2, Buffer.from([count, 0])),
        entry('split.tensors.count', 5, u32(total)),
      ],
      tensors: names.map((name, i) => tensor({ name, offset: i * 32 })),
    });
  /** Saves shards in a folder of their own and returns their paths. */
  const saveShards = (shards: Uint8Array[], count = shards.length) => {
    const place = `split-${folders++}`;
    mkdirSync(join(folder, place));
    const five = (n: number) => String(n).padStart(5, '0');
    return shards.map((bytes, i) => save(bytes, `${place}/m-${five(i + 1)}-of-${five(count)}.gguf`));
  };
  const good = [shard(0, 3, []), shard(1, 3, ['a']), shard(2, 3, ['b', 'c'])];

  it('opens all shards from any of them, and from the name before the numbers', async () => {
    const paths = saveShards(good);
    for (const path of [...paths, paths[0].replace(/-00001-of-00003.gguf$/, '')]) {
      const model = await openGguf(path);
      expect(model.files.map((file) => file.path)).toEqual(paths);
      expect([...model.tensors.values()].map(({ name, file }) => [name, file])).toEqual([
        ['a', 1],
        ['b', 2],
        ['c', 2],
      ]);
      expect(model.metadata.get('general.architecture')).toBe('llama');
    }
  });

  it('names the shard that is missing', async () => {
    const paths = saveShards(good);
    rmSync(paths[1]);
    const error = await ntxError(openGguf(paths[2]));
    expect(error.code).toBe('io');
    expect(error.message).toContain(paths[1]);
    expect(error.message).toContain('2 of 3');
  });

  it.each([
    ['shard 2 of 3, but its name says 1 of 3', [shard(1, 3, ['a']), shard(0, 3, []), shard(2, 3, ['b', 'c'])]],
    ['shard 2 of 4, but its name says 2 of 3', [good[0], shard(1, 4, ['a']), good[2]]],
    ['3 tensors, but its 3 shards hold 2', [good[0], good[1], shard(2, 3, ['b'])]],
    ["the tensor 'a', which an earlier shard holds too", [good[0], good[1], shard(2, 3, ['a', 'b'])]],
    ["lacks the key 'split.no'", [good[0], ggufFile(), good[2]]],
  ])('%s', async (words, shards) => {
    const error = await ntxError(openGguf(saveShards(shards)[0]));
    expect(error.code).toBe('bad-file');
    expect(error.message).toContain(words);
  });

  it('asks for the published names', async () => {
    const error = await ntxError(openGguf(save(good[1], 'any-name.gguf')));
    expect(error.code).toBe('bad-file');
    expect(error.message).toContain('-0000X-of-00003.gguf');
    expect((await ntxError(openGguf(saveShards(good, 5)[0]))).code).toBe('bad-file');
  });

  it('opens a name without its ending, and asks when it may mean several', async () => {
    const [first] = saveShards(good);
    const stem = first.replace(/-00001-of-00003.gguf$/, '');
    writeFileSync(`${stem}.gguf`, ggufFile());
    const error = await ntxError(openGguf(stem));
    expect(error.message).toContain('m.gguf');
    expect(error.message).toContain('m-00001-of-00003.gguf');
    expect((await openGguf(save(ggufFile(), 'alone.gguf').replace('.gguf', ''))).tensors.size).toBe(1);
  });
});
