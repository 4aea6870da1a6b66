@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;

/// The codes of a run of 16 activations.
fn run_codes(k: u32) -> array<u32, 4> {
  let x = x_codes[k / 16u];
  return array(x.x, x.y, x.z, x.w);
}
