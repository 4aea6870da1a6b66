// The upper half of an f32.
fn load_4(at: Bits, k: u32) -> array<Reals, 4> {
  let q = pairs_at(at + Bits(2u * k));
  return array(
    inside(k, bitcast<Reals>(q[0] << Bits(16u))),
    inside(k + 1u, bitcast<Reals>(q[0] & Bits(0xffff0000u))),
    inside(k + 2u, bitcast<Reals>(q[1] << Bits(16u))),
    inside(k + 3u, bitcast<Reals>(q[1] & Bits(0xffff0000u))));
}
