fn load_4(at: Bits, k: u32) -> array<Reals, 4> {
  let first = (at >> Bits(2u)) + Bits(k);
  return array(
    inside(k, bitcast<Reals>(words(first))),
    inside(k + 1u, bitcast<Reals>(words(first + Bits(1u)))),
    inside(k + 2u, bitcast<Reals>(words(first + Bits(2u)))),
    inside(k + 3u, bitcast<Reals>(words(first + Bits(3u)))));
}
