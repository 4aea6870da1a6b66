@group(0) @binding(6) var<storage, read> biases: array<f32>;

fn bias(i: u32) -> f32 {
  return biases[i];
}
