// f32 activations whose rows may start and end anywhere: zero beyond.

/// The first value of `input`.
override INPUT: u32;

@group(0) @binding(1) var<storage, read> input: array<f32>;

fn activation(r: u32, k: u32) -> f32 {
  return select(0.0, input[INPUT + r * K + k], k < K);
}

/// Values k to k + 3 of row r.
fn activations(r: u32, k: u32) -> vec4f {
  return vec4f(activation(r, k), activation(r, k + 1u), activation(r, k + 2u), activation(r, k + 3u));
}
