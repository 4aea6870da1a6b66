/// The four words of quad `at` of each row.
fn quads(at: Bits) -> array<Bits, 4> {
  let a = quad(at.x);
  let b = quad(at.y);
  return array(Bits(a.x, b.x), Bits(a.y, b.y), Bits(a.z, b.z), Bits(a.w, b.w));
}
