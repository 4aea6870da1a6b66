/// The 8 bytes at `at`. Only rows of an odd number of weights start in the middle of a word.
fn pairs_at(at: Bits) -> array<Bits, 2> {
  if (ROW_BYTES % 4u != 0u) {
    return words_2(at);
  }
  let first = at >> Bits(2u);
  return array(words(first), words(first + Bits(1u)));
}
