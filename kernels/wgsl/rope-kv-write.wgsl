// What the parts of rope-kv-write share: a workgroup takes one head of one row through workgroup memory.
// Joined behind a reduce file and half-bits.wgsl; before the parts (rope-kv-write.q, .kv) and the entry point of those that are in.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override ROPE_DIM: u32;
override NEOX: bool;
override EPS: f32;
override CONTEXT: u32;

@group(0) @binding(0) var<storage, read> step: array<u32>;
/// [context][ROPE_DIM / 2](cos, sin)
@group(0) @binding(1) var<storage, read> table: array<vec2<f32>>;

var<workgroup> head: array<f32, HEAD_DIM>;

fn row_position(row: u32) -> u32 {
  return step[4 + 4 * row + 1];
}

fn row_slot(row: u32) -> u32 {
  return step[4 + 4 * row + 2];
}

/// 1 / sqrt(mean(head^2) + EPS). Reads only what the same invocation has written: no barrier is needed before.
fn norm_factor(thread: u32) -> f32 {
  var squares = 0.0;
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    squares += head[i] * head[i];
  }
  return inverseSqrt(workgroup_sum(squares, thread) / f32(HEAD_DIM) + EPS);
}

fn rotate(position: u32, thread: u32) {
  workgroupBarrier();
  for (var pair = thread; pair < ROPE_DIM / 2; pair += THREADS) {
    let first = select(2 * pair, pair, NEOX);
    let second = select(2 * pair + 1, pair + ROPE_DIM / 2, NEOX);
    let turn = table[position * (ROPE_DIM / 2) + pair];
    let x = head[first];
    let y = head[second];
    head[first] = x * turn.x - y * turn.y;
    head[second] = x * turn.y + y * turn.x;
  }
  workgroupBarrier();
}
