/// sum + the products of four codes of each row with four of the activations.
fn add_dots(sum: Ints, v: Bits, x: u32) -> Ints {
  return sum + Ints(dot4I8Packed(v.x, x), dot4I8Packed(v.y, x), dot4I8Packed(v.z, x), dot4I8Packed(v.w, x));
}
