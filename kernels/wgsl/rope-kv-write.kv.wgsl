override K_NORM: bool;

@group(0) @binding(4) var<storage, read> k: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<f32>;
/// Two halves a word: [slot][kv head][position][HEAD_DIM / 2]
@group(0) @binding(6) var<storage, read_write> k_cache: array<u32>;
@group(0) @binding(7) var<storage, read_write> v_cache: array<u32>;
@group(0) @binding(8) var<storage, read> k_norm: array<f32>;

fn cache_word(index: u32, row: u32) -> u32 {
  return ((row_slot(row) * KV_HEADS + index) * CONTEXT + row_position(row)) * (HEAD_DIM / 2);
}

fn write_k(index: u32, row: u32, thread: u32) {
  let at = (row * KV_HEADS + index) * HEAD_DIM;
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    head[i] = k[at + i];
  }
  if (K_NORM) {
    let factor = norm_factor(thread);
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      head[i] *= factor * k_norm[i];
    }
  }
  rotate(row_position(row), thread);
  let word = cache_word(index, row);
  for (var i = thread; i < HEAD_DIM / 2; i += THREADS) {
    k_cache[word + i] = half_bits(head[2 * i]) | (half_bits(head[2 * i + 1]) << 16);
  }
}

fn write_v(index: u32, row: u32, thread: u32) {
  let at = (row * KV_HEADS + index) * HEAD_DIM;
  let word = cache_word(index, row);
  for (var i = thread; i < HEAD_DIM / 2; i += THREADS) {
    v_cache[word + i] = half_bits(v[at + 2 * i]) | (half_bits(v[at + 2 * i + 1]) << 16);
  }
}
