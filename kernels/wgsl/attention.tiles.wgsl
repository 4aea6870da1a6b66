// Attention of many rows. A workgroup takes QUERIES queries of one key-value head: neighbouring rows, each with all its query
// heads. It walks over the positions in tiles of KEYS, which all its queries share out of workgroup memory, with a softmax
// that goes on from tile to tile (arXiv 2205.14135). Rows of several sequences are taken one sequence after the other.
// THREADS invocations are 8 (`strip`, QUERIES / 8 queries each) times 32 (`lane`). Joined behind attention.wgsl.
const THREADS = 256u;
const STRIPS = 8u;
const LANES = 32u;
override QUERIES: u32;
override KEYS: u32;

/// Queries of a strip; at most 4.
override STRIP: u32 = QUERIES / STRIPS;
/// Words of two halves in a head, and from one key of a tile to the next: odd, so that lanes read different banks.
override WORDS: u32 = HEAD_DIM / 2;
override STRIDE: u32 = WORDS + 1;
/// Scores of a query, from one to the next.
override SCORES: u32 = KEYS + 1;

@group(0) @binding(1) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec2<f32>>;

var<workgroup> queries: array<vec2<f32>, QUERIES * WORDS>;
/// Keys, then values, of the tile.
var<workgroup> tile: array<u32, KEYS * STRIDE>;
/// Scores, then weights.
var<workgroup> weights: array<f32, QUERIES * SCORES>;
var<workgroup> partial: array<f32, THREADS>;
var<workgroup> largest: array<f32, QUERIES>;
var<workgroup> total: array<f32, QUERIES>;
/// exp(largest before - largest now)
var<workgroup> shrink: array<f32, QUERIES>;
/// Of each query: positions that it attends to (from, to), in the sequence at hand; none where to < from.
var<workgroup> reach: array<vec2<i32>, QUERIES>;

const LOWEST = -3.4e38;

/// A row of query `index` of the head, counted in rows and in each through its heads.
fn row_of(index: u32) -> u32 {
  return index / GROUP;
}

/// Where the vectors of query `index` start in q and out.
fn query_at(index: u32, kv_head: u32) -> u32 {
  return ((index / GROUP) * HEADS + kv_head * GROUP + index % GROUP) * WORDS;
}

fn load_tile(values: bool, cell: u32, count: u32, thread: u32) {
  for (var i = thread; i < rolled(KEYS * CHUNKS); i += THREADS) {
    let key = i / CHUNKS;
    let chunk = i % CHUNKS;
    var words = vec4<u32>();
    // Weights of 0 do not hide what is no number: positions that were never written are not read.
    if (key < count) {
      if (values) {
        words = v_cache[(cell + key) * CHUNKS + chunk];
      } else {
        words = k_cache[(cell + key) * CHUNKS + chunk];
      }
    }
    let at = key * STRIDE + 4 * chunk;
    tile[at] = words.x;
    tile[at + 1] = words.y;
    tile[at + 2] = words.z;
    tile[at + 3] = words.w;
  }
}

fn score_tile(first: u32, strip: u32, lane: u32) {
  for (var key = lane; key < KEYS; key += LANES) {
    var scores: array<f32, 4>;
    for (var w = 0u; w < rolled(WORDS); w++) {
      let pair = unpack2x16float(tile[key * STRIDE + w]);
      for (var i = 0u; i < STRIP; i++) {
        scores[i] += dot(pair, queries[(strip * STRIP + i) * WORDS + w]);
      }
    }
    for (var i = 0u; i < STRIP; i++) {
      let query = strip * STRIP + i;
      let position = i32(first + key);
      let inside = position >= reach[query].x && position <= reach[query].y;
      weights[query * SCORES + key] = select(LOWEST, scores[i] * SCALE, inside);
    }
  }
}

/// The softmax of the tile, relative to the largest score so far. THREADS / QUERIES invocations share a query. Values of the
/// tile are loaded meanwhile.
fn weigh_tile(cell: u32, count: u32, thread: u32) {
  let sharers = THREADS / QUERIES;
  let query = thread / sharers;
  let first = thread % sharers;
  var best = LOWEST;
  for (var key = first; key < rolled(KEYS); key += sharers) {
    best = max(best, weights[query * SCORES + key]);
  }
  partial[thread] = best;
  load_tile(true, cell, count, thread);
  workgroupBarrier();
  best = largest[query];
  for (var i = 0u; i < rolled(sharers); i++) {
    best = max(best, partial[query * sharers + i]);
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var key = first; key < rolled(KEYS); key += sharers) {
    let score = weights[query * SCORES + key];
    let weight = select(0.0, exp(score - best), score > LOWEST);
    weights[query * SCORES + key] = weight;
    sum += weight;
  }
  partial[thread] = sum;
  workgroupBarrier();
  if (first == 0) {
    sum = 0.0;
    for (var i = 0u; i < rolled(sharers); i++) {
      sum += partial[query * sharers + i];
    }
    let factor = exp(largest[query] - best);
    shrink[query] = factor;
    total[query] = total[query] * factor + sum;
    largest[query] = best;
  }
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = group.y;
  let begin = group.x * QUERIES;
  let end = min(begin + QUERIES, step[0] * GROUP);
  let strip = thread / LANES;
  let lane = thread % LANES;
  for (var i = thread; i < rolled(QUERIES * WORDS); i += THREADS) {
    let index = begin + i / WORDS;
    queries[i] = vec2<f32>();
    if (index < end) {
      queries[i] = q[query_at(index, kv_head) + i % WORDS];
    }
  }
  if (thread < QUERIES) {
    largest[thread] = LOWEST;
    total[thread] = 0.0;
  }
  // Of each query of the strip up to four words, LANES apart.
  var sums: array<vec2<f32>, 16>;

  let first_row = row_of(begin);
  let last_row = row_of(end - 1);
  for (var leader = first_row; leader <= last_row; leader++) {
    // The sequence of `leader`, with all its rows, unless an earlier row has led it.
    let slot = row_slot(leader);
    var led = false;
    for (var row = first_row; row < leader; row++) {
      led = led || row_slot(row) == slot;
    }
    if (led) {
      continue;
    }
    var last = 0u;
    for (var row = leader; row <= last_row; row++) {
      if (row_slot(row) == slot) {
        last = row_position(row);
      }
    }
    workgroupBarrier();
    if (thread < QUERIES) {
      reach[thread] = vec2<i32>(0, -1);
      let row = row_of(begin + thread);
      if (begin + thread < end && row_slot(row) == slot) {
        let position = row_position(row);
        reach[thread] = vec2<i32>(i32(first_position(position)), i32(position));
      }
    }
    let cells = (slot * KV_HEADS + kv_head) * CONTEXT;
    for (var first = first_position(row_position(leader)); first <= last; first += KEYS) {
      let count = min(KEYS, last + 1 - first);
      load_tile(false, cells + first, count, thread);
      workgroupBarrier();
      score_tile(first, strip, lane);
      workgroupBarrier();
      weigh_tile(cells + first, count, thread);
      for (var i = 0u; i < STRIP; i++) {
        for (var j = 0u; j < 4; j++) {
          sums[4 * i + j] *= shrink[strip * STRIP + i];
        }
      }
      for (var key = 0u; key < count; key++) {
        for (var j = 0u; j < (WORDS + LANES - 1) / LANES; j++) {
          // What is read for words beyond the head is not stored.
          let pair = unpack2x16float(tile[key * STRIDE + min(lane + LANES * j, WORDS - 1)]);
          for (var i = 0u; i < STRIP; i++) {
            sums[4 * i + j] += weights[(strip * STRIP + i) * SCORES + key] * pair;
          }
        }
      }
      workgroupBarrier();
    }
  }

  for (var i = 0u; i < STRIP; i++) {
    let query = strip * STRIP + i;
    if (begin + query < end) {
      for (var j = 0u; j < (WORDS + LANES - 1) / LANES; j++) {
        let word = lane + LANES * j;
        if (word < WORDS) {
          out[query_at(begin + query, kv_head) + word] = sums[4 * i + j] / total[query];
        }
      }
    }
  }
}
