fn load_4(at: Bits, k: u32) -> array<Reals, 4> {
  let q = pairs_at(at + Bits(2u * k));
  return array(
    inside(k, low_half(q[0])),
    inside(k + 1u, high_half(q[0])),
    inside(k + 2u, low_half(q[1])),
    inside(k + 3u, high_half(q[1])));
}
