/// The four words of quad `at` of the row.
fn quads(at: Bits) -> array<Bits, 4> {
  let q = quad(at);
  return array(q.x, q.y, q.z, q.w);
}
