// rope-kv-write for the only row of a pass (rope-kv-write.wgsl says what the constants are).
const ROTATE = true;

override ROPE_DIM: u32;
override NEOX: bool;
override EPS: f32;

@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> k_cache: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> v_cache: array<vec4u>;
@group(0) @binding(5) var<storage, read> k: array<f32>;
@group(0) @binding(6) var<storage, read> v: array<f32>;
/// [context][ROPE_DIM / 2](cos, sin)
@group(0) @binding(7) var<storage, read> table: array<vec2f>;

var<workgroup> keys: array<f32, HEAD_DIM>;
/// The position's own words of both caches, HEAD_DIM / 2 of k and then as many of v.
var<workgroup> fresh: array<u32, HEAD_DIM>;

fn rotated(x: vec2f, turn: vec2f) -> vec2f {
  return vec2f(x.x * turn.x - x.y * turn.y, x.x * turn.y + x.y * turn.x);
}

fn half_pair(low: f32, high: f32) -> u32 {
  return half_bits(low) | (half_bits(high) << 16u);
}

/// A workgroup has HEAD_DIM threads or more.
fn prepare(head: u32, row: u32, cell: u32, thread: u32) {
  let kv_at = head / GROUP * HEAD_DIM;
  // All that comes from memory is on its way before the first barrier.
  let pair = min(thread, ROPE_DIM / 2u - 1u);
  let turn = table[row_position(row) * (ROPE_DIM / 2u) + pair];
  let word = min(thread, HEAD_DIM - 1u);
  let i = 2u * word % HEAD_DIM;
  let values = vec2f(v[kv_at + i], v[kv_at + i + 1u]);
  if (thread < HEAD_DIM) {
    queries[thread] = q[head * HEAD_DIM + thread];
    keys[thread] = k[kv_at + thread];
  }
  norm_heads(thread);
  workgroupBarrier();
  if (thread < ROPE_DIM / 2u) {
    let first = select(2u * pair, pair, NEOX);
    let second = select(2u * pair + 1u, pair + ROPE_DIM / 2u, NEOX);
    let turned_q = rotated(vec2f(queries[first], queries[second]), turn);
    queries[first] = turned_q.x;
    queries[second] = turned_q.y;
    let turned_k = rotated(vec2f(keys[first], keys[second]), turn);
    keys[first] = turned_k.x;
    keys[second] = turned_k.y;
  }
  workgroupBarrier();
  if (thread < HEAD_DIM / 2u) {
    fresh[word] = half_pair(keys[i], keys[i + 1u]);
  } else if (thread < HEAD_DIM) {
    fresh[word] = half_pair(values.x, values.y);
  }
  workgroupBarrier();
  if (head % GROUP == 0u && thread < CHUNKS) {
    k_cache[cell * CHUNKS + thread] = fresh_k(thread);
    v_cache[cell * CHUNKS + thread] = fresh_v(thread);
  }
}

fn fresh_quad(at: u32) -> vec4u {
  return vec4u(fresh[at], fresh[at + 1u], fresh[at + 2u], fresh[at + 3u]);
}

fn fresh_k(lane: u32) -> vec4u {
  return fresh_quad(4u * lane);
}

fn fresh_v(lane: u32) -> vec4u {
  return fresh_quad(HEAD_DIM / 2u + 4u * lane);
}
