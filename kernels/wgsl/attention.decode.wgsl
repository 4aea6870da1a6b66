// Attention of single rows to not too many positions, a workgroup for each query head and row. CHUNKS lanes of a subgroup make
// a worker: each of them holds 8 dimensions. Workers take every WORKERS-th position, UNROLLED loads of both caches at a time,
// each with a softmax of its own that goes on from step to step (arXiv 2205.14135), and meet once at the end: a token waits for
// these kernels' latency, not for their bytes.
// ROTATE: the row is the pass's only one, and the kernel does rope-kv-write as well: what it writes to the caches it takes from
// workgroup memory itself.
// Joined behind reduce.subgroups.wgsl, attention.wgsl and half-bits.wgsl; before attention.decode.rotate.wgsl or
// attention.decode.rows.wgsl, and attention.values.wgsl or attention.codes.wgsl.
override WORKERS: u32 = THREADS / CHUNKS;

/// Positions that a worker has in flight.
const UNROLLED = 4u;
const LOWEST = -3.4e38;

var<workgroup> queries: array<f32, HEAD_DIM>;
var<workgroup> tops: array<f32, WORKERS>;
var<workgroup> totals: array<f32, WORKERS>;
override WORKER_QUADS: u32 = WORKERS * HEAD_DIM / 4u;
/// [worker][HEAD_DIM / 4]
var<workgroup> sums: array<vec4f, WORKER_QUADS>;
var<workgroup> worker_weights: array<f32, WORKERS>;
/// [part][HEAD_DIM / 4]
var<workgroup> part_sums: array<vec4f, THREADS>;

fn query_quad(i: u32) -> vec4f {
  return SCALE * vec4f(queries[4u * i], queries[4u * i + 1u], queries[4u * i + 2u], queries[4u * i + 3u]);
}

fn unpack_low(words: vec4u) -> vec4f {
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn unpack_high(words: vec4u) -> vec4f {
  return vec4f(unpack2x16float(words.z), unpack2x16float(words.w));
}

/// The sum over the lanes of a worker.
fn worker_sum(v: vec4f) -> vec4f {
  var sum = v;
  for (var stride = 1u; stride < CHUNKS; stride *= 2u) {
    sum += subgroupShuffleXor(sum, stride);
  }
  return sum;
}

/// A worker's share of the softmax and of the values of a lane's dimensions.
struct Share {
  top: f32,
  total: f32,
  low: vec4f,
  high: vec4f,
}

/// Chunks of both caches for four positions. By name and not in arrays, which some drivers keep in memory.
struct Cells {
  k0: vec4u,
  k1: vec4u,
  k2: vec4u,
  k3: vec4u,
  v0: vec4u,
  v1: vec4u,
  v2: vec4u,
  v3: vec4u,
}

/// Adds four positions with these scores, LOWEST where there is none.
fn add_positions(share: Share, scores: vec4f, cells: Cells) -> Share {
  let top = max(max(share.top, max(scores.x, scores.y)), max(scores.z, scores.w));
  let shrink = exp(share.top - top);
  let weights = select(vec4f(), exp(scores - top), scores > vec4f(LOWEST));
  let low = weights.x * unpack_low(cells.v0) + weights.y * unpack_low(cells.v1) + weights.z * unpack_low(cells.v2)
    + weights.w * unpack_low(cells.v3);
  let high = weights.x * unpack_high(cells.v0) + weights.y * unpack_high(cells.v1) + weights.z * unpack_high(cells.v2)
    + weights.w * unpack_high(cells.v3);
  let total = (weights.x + weights.y) + (weights.z + weights.w);
  return Share(top, share.total * shrink + total, share.low * shrink + low, share.high * shrink + high);
}

/// A worker's positions from `base` on; beyond `end` the last one again.
fn load_cells(base: u32, end: u32, cells: u32, worker: u32, lane: u32) -> Cells {
  let first = base + worker;
  let last = max(end, 1u) - 1u;
  let at = (cells + min(vec4u(first, first + WORKERS, first + 2u * WORKERS, first + 3u * WORKERS), vec4u(last))) * CHUNKS + lane;
  return Cells(
    k_cache[at.x], k_cache[at.y], k_cache[at.z], k_cache[at.w], v_cache[at.x], v_cache[at.y], v_cache[at.z], v_cache[at.w]);
}

/// The products of a lane's part of the query with four keys.
fn partial_scores(low: vec4f, high: vec4f, cells: Cells) -> vec4f {
  return vec4f(
    dot(low, unpack_low(cells.k0)) + dot(high, unpack_high(cells.k0)),
    dot(low, unpack_low(cells.k1)) + dot(high, unpack_high(cells.k1)),
    dot(low, unpack_low(cells.k2)) + dot(high, unpack_high(cells.k2)),
    dot(low, unpack_low(cells.k3)) + dot(high, unpack_high(cells.k3)));
}

/// Leaves what each worker counts for in `worker_weights`; returns the sum of all weights.
fn weigh_workers(thread: u32) -> f32 {
  var top = LOWEST;
  for (var w = thread % LANES; w < WORKERS; w += LANES) {
    top = max(top, tops[w]);
  }
  top = subgroupMax(top);
  var total = 0.0;
  for (var w = thread % LANES; w < WORKERS; w += LANES) {
    total += exp(tops[w] - top) * totals[w];
  }
  if (thread < WORKERS) {
    worker_weights[thread] = exp(tops[thread] - top);
  }
  return subgroupAdd(total);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let row = group.y;
  let kv_head = head / GROUP;
  let position = row_position(row);
  let start = first_position(position);
  let cells = (row_slot(row) * KV_HEADS + kv_head) * CONTEXT;
  let end = position + select(1u, 0u, ROTATE);
  let worker = thread / CHUNKS;
  let lane = thread % CHUNKS;
  // On their way while the query is made.
  var next = load_cells(start, end, cells, worker, lane);
  prepare(head, row, cells + position, thread);
  workgroupBarrier();

  let low = query_quad(2u * lane);
  let high = query_quad(2u * lane + 1u);
  var share = Share(LOWEST, 0.0, vec4f(), vec4f());
  for (var base = start; base < end; base += WORKERS * UNROLLED) {
    let now = next;
    if (base + WORKERS * UNROLLED < end) {
      next = load_cells(base + WORKERS * UNROLLED, end, cells, worker, lane);
    }
    let scores = worker_sum(partial_scores(low, high, now));
    let first = base + worker;
    let there = vec4u(first, first + WORKERS, first + 2u * WORKERS, first + 3u * WORKERS) < vec4u(end);
    share = add_positions(share, select(vec4f(LOWEST), scores, there), now);
  }
  if (ROTATE) {
    let none = vec4u();
    let own = Cells(fresh_k(lane), none, none, none, fresh_v(lane), none, none, none);
    let score = worker_sum(partial_scores(low, high, own)).x;
    share = add_positions(share, vec4f(select(LOWEST, score, worker == 0u), vec3f(LOWEST)), own);
  }

  sums[(worker * HEAD_DIM) / 4u + 2u * lane] = share.low;
  sums[(worker * HEAD_DIM) / 4u + 2u * lane + 1u] = share.high;
  if (lane == 0u) {
    tops[worker] = share.top;
    totals[worker] = share.total;
  }
  workgroupBarrier();
  let total = weigh_workers(thread);
  workgroupBarrier();
  // A thread puts MERGED workers together for four dimensions, and then a few all parts.
  const MERGED = 4u;
  let quads = HEAD_DIM / 4u;
  var sum = vec4f();
  if (thread < WORKERS / MERGED * quads) {
    let first = thread / quads * MERGED;
    for (var w = first; w < first + MERGED; w++) {
      sum += worker_weights[w] * sums[w * quads + thread % quads];
    }
    part_sums[thread] = sum;
  }
  workgroupBarrier();
  if (thread < quads) {
    sum = vec4f();
    for (var part = thread; part < WORKERS / MERGED * quads; part += quads) {
      sum += part_sums[part];
    }
    put(row, head, 4u * thread, sum / total);
  }
  hand_on(row, head, thread);
}
