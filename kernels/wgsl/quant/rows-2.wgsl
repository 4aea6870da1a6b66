// Two rows of a matrix at once: component i of every Bits and Reals belongs to row i.
alias Bits = vec2u;
alias Ints = vec2i;
alias Reals = vec2f;
alias Flags = vec2<bool>;

const LANES = 2u;

fn low_half(v: Bits) -> Reals {
  return Reals(unpack2x16float(v.x).x, unpack2x16float(v.y).x);
}

fn high_half(v: Bits) -> Reals {
  return Reals(unpack2x16float(v.x).y, unpack2x16float(v.y).y);
}

fn lane_bits(i: u32, v: u32) -> Bits {
  return select(Bits(0u, v), Bits(v, 0u), i == 0u);
}

fn lane_of(v: Reals, i: u32) -> f32 {
  return v[i];
}
