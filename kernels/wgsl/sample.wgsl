// Draws the token that follows of the candidates that top-k has left, so that its pass can begin before the host has seen them:
// what src/sampler/sampler.ts does, in f32. One workgroup, an invocation for each candidate. Sums run in the order of the
// candidates (a scan), as the host's do.
const THREADS = 256u;
const MOST_RECENT = 64u;
// Below every logit that counts.
const NOTHING = -3.4e38;

/// src/backend/sampling.ts writes it.
struct Sampling {
  temperature: f32,
  top_k: u32,
  top_p: f32,
  min_p: f32,
  repeat: f32,
  frequency: f32,
  presence: f32,
  random: f32,
  recents: u32,
  tokens: u32,
  reserved: vec2<u32>,
  recent: array<vec2<u32>, MOST_RECENT>,
}

@group(0) @binding(0) var<storage, read> sampling: Sampling;
// log-sum-exp, target logit, count, drawn; then (token, logit) of each
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@group(0) @binding(2) var<storage, read_write> step: array<u32>;

var<workgroup> logits: array<f32, THREADS>;
var<workgroup> sorted: array<f32, THREADS>;
var<workgroup> tokens: array<u32, THREADS>;
var<workgroup> sums: array<f32, 2 * THREADS>;
var<workgroup> kept: atomic<u32>;
var<workgroup> chosen: atomic<u32>;

fn penalised(token: u32, logit: f32) -> f32 {
  var count = 0u;
  for (var i = 0u; i < min(sampling.recents, MOST_RECENT); i++) {
    count = select(count, sampling.recent[i].y, sampling.recent[i].x == token);
  }
  if (count == 0) {
    return logit;
  }
  let repeated = select(logit * sampling.repeat, logit / sampling.repeat, logit > 0);
  return repeated - f32(count) * sampling.frequency - sampling.presence;
}

/// Of the values of all invocations up to this one. The sum of all stands in sums[THREADS - 1] afterwards.
fn sum_up_to(value: f32, own: u32) -> f32 {
  var sum = value;
  var side = 0u;
  sums[own] = sum;
  for (var apart = 1u; apart < THREADS; apart *= 2) {
    workgroupBarrier();
    if (own >= apart) {
      sum += sums[side + own - apart];
    }
    side = THREADS - side;
    sums[side + own] = sum;
  }
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) own: u32) {
  let count = min(min(output[2], THREADS), (arrayLength(&output) - 4) / 2);
  if (own == 0) {
    atomicStore(&kept, THREADS);
    atomicStore(&chosen, THREADS);
  }
  var token = 0u;
  var logit = NOTHING;
  if (own < count) {
    token = output[4 + 2 * own];
    logit = penalised(token, bitcast<f32>(output[5 + 2 * own]));
  }
  logits[own] = logit;
  sorted[own] = NOTHING;
  tokens[own] = 0;
  workgroupBarrier();
  if (own < count) {
    // Descending; ties keep their order.
    var rank = 0u;
    for (var i = 0u; i < count; i++) {
      rank += u32(logits[i] > logit || (logits[i] == logit && i < own));
    }
    sorted[rank] = logit;
    tokens[rank] = token;
  }
  workgroupBarrier();

  let most = select(min(count, sampling.top_k), count, sampling.top_k == 0);
  let below = sorted[own] - sorted[0];
  let weight = select(0.0, exp(below), own < most);
  let mass = sum_up_to(weight, own);
  // All of it is all, also where f32 takes no notice of the last ones.
  let has_enough = sampling.top_p < 1 && mass - weight >= sampling.top_p * sums[THREADS - 1];
  let is_over = has_enough || weight < sampling.min_p;
  if (own > 0 && own < most && is_over) {
    atomicMin(&kept, own);
  }
  workgroupBarrier();
  let end = min(atomicLoad(&kept), most);
  let warmth = select(sampling.temperature, 1.0, sampling.temperature == 0);
  let sum = sum_up_to(select(0.0, exp(below / warmth), own < end), own);
  if (own < end && sum > sampling.random * sums[THREADS - 1]) {
    atomicMin(&chosen, own);
  }
  workgroupBarrier();
  if (own > 0) {
    return;
  }
  let place = atomicLoad(&chosen);
  let best = sampling.temperature == 0 || place >= end;
  let drawn = min(tokens[select(place, 0, best)], sampling.tokens - 1);
  output[3] = drawn + 1;
  step[4] = drawn;
}
