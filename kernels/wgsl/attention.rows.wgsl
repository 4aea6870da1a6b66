// Attention of a few rows. A workgroup takes one row, TAKEN query heads of one key-value head (which share what is read of the
// caches) and one of the splits of the positions, in tiles of THREADS positions: scores with a position an invocation, then a
// softmax that goes on from tile to tile (arXiv 2205.14135), then sums of values with 8 dimensions an invocation. DIRECT: the
// only split writes the result; else attention.merge.wgsl puts the splits together.
// Joined behind attention.reduce.wgsl or attention.reduce.subgroups.wgsl, attention.wgsl and attention.splits.wgsl.
override DIRECT: bool;

@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<u32>>;
/// DIRECT: [row][head][HEAD_DIM / 4]; else as attention.splits.wgsl has it.
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> queries: array<vec4<f32>, TAKEN * CHUNKS * 2>;
/// Of the tile: [taken][THREADS].
var<workgroup> weights: array<f32, TAKEN * THREADS>;
var<workgroup> sums: array<vec4<f32>, THREADS * 2>;

const LOWEST = -3.4e38;

fn unpack(words: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

/// q . K[cell] * SCALE of each head; LOWEST where there is nothing to score.
fn scores_of(cell: u32, valid: bool, taken: u32) -> array<f32, 4> {
  var scores: array<f32, 4>;
  if (valid) {
    for (var c = 0u; c < rolled(CHUNKS); c++) {
      let words = k_cache[cell * CHUNKS + c];
      let low = unpack(words.xy);
      let high = unpack(words.zw);
      for (var h = 0u; h < TAKEN; h++) {
        let at = 2 * (h * CHUNKS + c);
        scores[h] += dot(low, queries[at]) + dot(high, queries[at + 1]);
      }
    }
  }
  for (var h = 0u; h < TAKEN; h++) {
    scores[h] = select(LOWEST, scores[h] * SCALE, valid && h < taken);
  }
  return scores;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.z;
  let parts = (GROUP + TAKEN - 1) / TAKEN;
  let kv_head = group.y / parts;
  let head = kv_head * GROUP + (group.y % parts) * TAKEN;
  let taken = min(TAKEN, (kv_head + 1) * GROUP - head);

  let position = row_position(row);
  let start = first_position(position);
  let tiles = (position - start) / THREADS + 1;
  let first_tile = group.x * tiles / groups.x;
  let last_tile = (group.x + 1) * tiles / groups.x;

  for (var i = thread; i < taken * CHUNKS * 2; i += THREADS) {
    queries[i] = q[(row * HEADS + head) * CHUNKS * 2 + i];
  }
  workgroupBarrier();

  // For the values, invocation (lane, chunk) takes that chunk of every lanes-th position.
  let lanes = THREADS / CHUNKS;
  let lane = thread / CHUNKS;
  let chunk = thread % CHUNKS;
  var low: array<vec4<f32>, 4>;
  var high: array<vec4<f32>, 4>;
  var largest = array(LOWEST, LOWEST, LOWEST, LOWEST);
  var total: array<f32, 4>;
  let cells = (row_slot(row) * KV_HEADS + kv_head) * CONTEXT;
  for (var tile = first_tile; tile < last_tile; tile++) {
    let begin = start + tile * THREADS;
    let count = min(THREADS, position + 1 - begin);
    var scores = scores_of(cells + begin + min(thread, count - 1), thread < count, taken);
    let highest = heads_max(scores, thread);
    for (var h = 0u; h < TAKEN; h++) {
      let now = max(largest[h], highest[h]);
      let shrink = exp(largest[h] - now);
      largest[h] = now;
      total[h] *= shrink;
      low[h] *= shrink;
      high[h] *= shrink;
      scores[h] = select(0.0, exp(scores[h] - now), scores[h] > LOWEST);
      weights[h * THREADS + thread] = scores[h];
    }
    let sum = heads_sum(scores, thread);
    for (var h = 0u; h < TAKEN; h++) {
      total[h] += sum[h];
    }
    if (lane < lanes) {
      for (var p = lane; p < count; p += lanes) {
        let words = v_cache[(cells + begin + p) * CHUNKS + chunk];
        let v_low = unpack(words.xy);
        let v_high = unpack(words.zw);
        for (var h = 0u; h < TAKEN; h++) {
          let weight = weights[h * THREADS + p];
          low[h] += weight * v_low;
          high[h] += weight * v_high;
        }
      }
    }
  }

  for (var h = 0u; h < TAKEN; h++) {
    sums[2 * thread] = low[h];
    sums[2 * thread + 1] = high[h];
    workgroupBarrier();
    // Half a chunk, four dimensions, an invocation.
    if (thread < 2 * CHUNKS && h < taken) {
      var sum = vec4<f32>();
      for (var l = 0u; l < rolled(lanes); l++) {
        sum += sums[2 * l * CHUNKS + thread];
      }
      if (DIRECT) {
        out[(row * HEADS + head + h) * CHUNKS * 2 + thread] = sum / total[h];
      } else {
        out[split_at(row, head + h, groups.x, group.x) + thread] = sum;
      }
    }
    if (!DIRECT && thread == 0 && h < taken) {
      let at = split_at(row, head + h, groups.x, group.x) + 2 * CHUNKS;
      out[at] = vec4<f32>(largest[h], total[h], 0.0, 0.0);
    }
    workgroupBarrier();
  }
  if (!DIRECT && thread == 0 && all(group == vec3<u32>())) {
    out[0].x = f32(groups.x);
  }
}
