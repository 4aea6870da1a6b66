/// The four words of quad `at` of each row.
fn quads(at: Bits) -> array<Bits, 4> {
  let a = quad(at.x);
  let b = quad(at.y);
  return array(Bits(a.x, b.x), Bits(a.y, b.y), Bits(a.z, b.z), Bits(a.w, b.w));
}

/// The word that holds byte `byte` of each row; `at` is where they start.
fn rows_word(at: Bits, byte: u32) -> Bits {
  return Bits(word_with(at.x + byte), word_with(at.y + byte));
}
