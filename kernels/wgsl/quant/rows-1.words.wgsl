/// Word `at` of the row.
fn words(at: Bits) -> Bits {
  return word(at);
}
