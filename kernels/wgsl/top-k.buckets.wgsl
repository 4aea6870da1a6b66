// Buckets that cut a range of logits into THREADS equal parts, the largest first, and sums over them by subgroups.
// Joined behind reduce.subgroups.wgsl and top-k.order.wgsl.
override SUBGROUPS: u32 = THREADS / LANES;

/// All zero between uses.
var<workgroup> buckets: array<atomic<u32>, THREADS>;
var<workgroup> bucket_totals: array<u32, SUBGROUPS>;
var<workgroup> extremes: array<vec2u, SUBGROUPS>;

/// Orders of 1.7e38 and -1.7e38: differences between them are finite.
const HIGH = 0xfeffc99eu;
const LOW = 0x01003661u;

struct Range {
  lowest: u32,
  highest: u32,
  /// Buckets a unit of the logit.
  scale: f32,
}

fn range_of(lowest: u32, highest: u32) -> Range {
  let low = clamp(lowest, LOW, HIGH);
  let high = clamp(highest, LOW, HIGH);
  // Where the logits differ by next to nothing, the quotient is not finite.
  return Range(low, high, min(f32(THREADS) / (logit_of(high) - logit_of(low)), 1e38));
}

/// Never more for a larger logit. All above the range are in the first bucket, all below in the last.
fn bucket_of(order: u32, range: Range) -> u32 {
  let distance = logit_of(range.highest) - logit_of(clamp(order, range.lowest, range.highest));
  return u32(min(distance * range.scale, f32(THREADS - 1u)));
}

/// The least and the largest of the orders that are not 0. All invocations call it together, with a barrier between two calls.
fn extremes_of(own: vec4u, thread: u32) -> vec2u {
  // 0 becomes the largest unsigned integer.
  let least = min(min(own.x - 1u, own.y - 1u), min(own.z - 1u, own.w - 1u));
  let largest = max(max(own.x, own.y), max(own.z, own.w));
  let of_subgroup = vec2u(subgroupMin(least), subgroupMax(largest));
  if (thread % LANES == 0u) {
    extremes[thread / LANES] = of_subgroup;
  }
  workgroupBarrier();
  var result = vec2u(0xffffffffu, 0u);
  for (var s = 0u; s < SUBGROUPS; s += LANES) {
    let other = extremes[min(s + thread % LANES, SUBGROUPS - 1u)];
    result = vec2u(min(result.x, other.x), max(result.y, other.y));
  }
  return vec2u(subgroupMin(result.x) + 1u, subgroupMax(result.y));
}

/// What the invocation's bucket holds, and it with all before. Empties the buckets.
struct Filling {
  own: u32,
  upto: u32,
}

fn fillings(thread: u32) -> Filling {
  workgroupBarrier();
  let own = atomicLoad(&buckets[thread]);
  atomicStore(&buckets[thread], 0u);
  let upto = subgroupInclusiveAdd(own);
  if (thread % LANES == LANES - 1u) {
    bucket_totals[thread / LANES] = upto;
  }
  workgroupBarrier();
  var before = 0u;
  for (var s = 0u; s < SUBGROUPS; s += LANES) {
    let other = s + thread % LANES;
    if (other < thread / LANES) {
      before += bucket_totals[other];
    }
  }
  return Filling(own, subgroupAdd(before) + upto);
}
