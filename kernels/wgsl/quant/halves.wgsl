// Access at even bytes, for the types whose blocks are not multiples of 4 bytes: half of them start in the middle of a word.

/// `at` is in the middle of a word.
fn is_odd(at: Bits) -> Flags {
  return (at & Bits(2u)) != Bits(0u);
}

/// The word that starts in the middle of `low` where odd.
fn straddle(low: Bits, high: Bits, odd: Flags) -> Bits {
  return select(low, (low >> Bits(16u)) | (high << Bits(16u)), odd);
}

/// The f16 at byte `at`.
fn half_at(at: Bits) -> Reals {
  return low_half(words(at >> Bits(2u)) >> ((at & Bits(2u)) << Bits(3u)));
}

/// The 4 bytes at `at`.
fn word_at(at: Bits) -> Bits {
  let first = at >> Bits(2u);
  return straddle(words(first), words(first + Bits(1u)), is_odd(at));
}

/// The 8 bytes at `at`.
fn words_2(at: Bits) -> array<Bits, 2> {
  let first = at >> Bits(2u);
  let odd = is_odd(at);
  let middle = words(first + Bits(1u));
  return array(straddle(words(first), middle, odd), straddle(middle, words(first + Bits(2u)), odd));
}

/// The 16 bytes at `at`.
fn words_4(at: Bits) -> array<Bits, 4> {
  let first = at >> Bits(2u);
  let odd = is_odd(at);
  let a = words(first);
  let b = words(first + Bits(1u));
  let c = words(first + Bits(2u));
  let d = words(first + Bits(3u));
  let e = words(first + Bits(4u));
  return array(straddle(a, b, odd), straddle(b, c, odd), straddle(c, d, odd), straddle(d, e, odd));
}
