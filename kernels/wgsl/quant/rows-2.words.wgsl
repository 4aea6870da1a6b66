/// Word `at` of each row.
fn words(at: Bits) -> Bits {
  return Bits(word(at.x), word(at.y));
}
