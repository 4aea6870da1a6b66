const PIECE = 256 << 20;
const PIECES = 4;
const ROUNDS = 6;

/** GB/s of copies from host memory to the device alone: the best of several rounds over a gigabyte. */
export async function linkPeak(backend) {
  const hosts = Array.from({ length: PIECES }, (_, i) => backend.allocateHost(PIECE, `link source ${i}`));
  const target = backend.allocateDevice(PIECE, 'link target');
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    let fence;
    for (const memory of hosts) {
      fence = backend.copy({ memory, offset: 0, bytes: PIECE }, { memory: target, offset: 0, bytes: PIECE });
    }
    await backend.wait(fence);
    best = Math.max(best, (PIECE * PIECES) / ((performance.now() - started) / 1000) / 1e9);
  }
  for (const memory of [...hosts, target]) memory.free();
  return best;
}
