@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;

/// The codes of 16 activations from word `at` on.
fn run_codes(at: u32) -> array<u32, 4> {
  let x = x_codes[at / 4u];
  return array(x.x, x.y, x.z, x.w);
}
