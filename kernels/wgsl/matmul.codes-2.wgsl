@group(0) @binding(1) var<storage, read> x_codes: array<vec2u>;

/// The codes of a run of 8 activations.
fn run_codes(k: u32) -> array<u32, 2> {
  let x = x_codes[k / 8u];
  return array(x.x, x.y);
}
