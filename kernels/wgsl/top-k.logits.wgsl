// Items are the logits of one chunk of one output.
var<private> first_logit: u32;
var<private> first_token: u32;

/// Makes `group` (chunk, output) the items at hand; returns how many there are.
fn begin(group: vec3<u32>) -> u32 {
  first_token = group.x * CHUNK;
  first_logit = group.y * WIDTH + first_token;
  return min(CHUNK, WIDTH - first_token);
}

fn item_order(i: u32) -> u32 {
  return order_of(logits[first_logit + i]);
}

fn item_token(i: u32) -> u32 {
  return first_token + i;
}

fn exponentials(count: u32, thread: u32) -> Sum {
  var largest = -3.4e38;
  for (var i = thread; i < count; i += THREADS) {
    largest = max(largest, logits[first_logit + i]);
  }
  largest = workgroup_max(largest, thread);
  var sum = 0.0;
  for (var i = thread; i < count; i += THREADS) {
    sum += exp(logits[first_logit + i] - largest);
  }
  return Sum(largest, workgroup_sum(sum, thread));
}
