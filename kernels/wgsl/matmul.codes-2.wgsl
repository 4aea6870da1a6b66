@group(0) @binding(1) var<storage, read> x_codes: array<vec2u>;

/// The codes of 8 activations from word `at` on.
fn run_codes(at: u32) -> array<u32, 2> {
  let x = x_codes[at / 2u];
  return array(x.x, x.y);
}
