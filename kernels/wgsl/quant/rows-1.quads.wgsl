/// The four words of quad `at` of the row.
fn quads(at: Bits) -> array<Bits, 4> {
  let q = quad(at);
  return array(q.x, q.y, q.z, q.w);
}

/// The word that holds byte `byte` of each row; `at` is where they start.
fn rows_word(at: Bits, byte: u32) -> Bits {
  return word_with(at + byte);
}
