/// sum + the products of four codes of each row with four of the activations.
fn add_dots(sum: Ints, v: Bits, x: u32) -> Ints {
  return sum + dot4I8Packed(v, x);
}
