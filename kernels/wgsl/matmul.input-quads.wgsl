// f32 activations whose rows are whole quads.

/// The first quad of `input`.
override INPUT: u32;

@group(0) @binding(1) var<storage, read> input: array<vec4f>;

/// Values k to k + 3 of row r; k is a multiple of 4.
fn activations(r: u32, k: u32) -> vec4f {
  return input[INPUT + (r * K + k) / 4u];
}
