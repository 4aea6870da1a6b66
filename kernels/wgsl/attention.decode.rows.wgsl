// What rope-kv-write has done stands in q and the caches.
const ROTATE = false;

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k_cache: array<vec4u>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec4u>;

/// Puts the query in place.
fn prepare(head: u32, row: u32, cell: u32, thread: u32) {
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    queries[i] = q[(row * HEADS + head) * HEAD_DIM + i];
  }
}

fn fresh_k(lane: u32) -> vec4u {
  return vec4u();
}

fn fresh_v(lane: u32) -> vec4u {
  return vec4u();
}
