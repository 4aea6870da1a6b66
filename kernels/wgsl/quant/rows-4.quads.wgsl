/// The four words of quad `at` of each row.
fn quads(at: Bits) -> array<Bits, 4> {
  let a = quad(at.x);
  let b = quad(at.y);
  let c = quad(at.z);
  let d = quad(at.w);
  return array(
    Bits(a.x, b.x, c.x, d.x), Bits(a.y, b.y, c.y, d.y), Bits(a.z, b.z, c.z, d.z), Bits(a.w, b.w, c.w, d.w));
}

/// The word that holds byte `byte` of each row; `at` is where they start.
fn rows_word(at: Bits, byte: u32) -> Bits {
  return Bits(word_with(at.x + byte), word_with(at.y + byte), word_with(at.z + byte), word_with(at.w + byte));
}
