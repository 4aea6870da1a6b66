// Logits as integers in their order.
override WIDTH: u32;

/// [output][WIDTH]
@group(0) @binding(0) var<storage, read> logits: array<f32>;

/// Integers in the order of the numbers; both zeros are one.
fn order_of(logit: f32) -> u32 {
  let bits = bitcast<u32>(logit);
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits >> 31) == 1u);
}

fn logit_of(order: u32) -> f32 {
  return bitcast<f32>(select(~order, order & 0x7fffffffu, (order >> 31) == 1u));
}
