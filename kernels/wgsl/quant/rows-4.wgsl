// Four rows of a matrix at once: component i of every Bits and Reals belongs to row i. The rows share the activations that a
// thread has loaded, and what decoding them needs is straight-line code with four loads in flight.
alias Bits = vec4u;
alias Ints = vec4i;
alias Reals = vec4f;
alias Flags = vec4<bool>;

const LANES = 4u;

fn low_half(v: Bits) -> Reals {
  return Reals(unpack2x16float(v.x).x, unpack2x16float(v.y).x, unpack2x16float(v.z).x, unpack2x16float(v.w).x);
}

fn high_half(v: Bits) -> Reals {
  return Reals(unpack2x16float(v.x).y, unpack2x16float(v.y).y, unpack2x16float(v.z).y, unpack2x16float(v.w).y);
}

fn lane_bits(i: u32, v: u32) -> Bits {
  return select(Bits(0u), Bits(v), Bits(0u, 1u, 2u, 3u) == Bits(i));
}

fn lane_of(v: Reals, i: u32) -> f32 {
  return v[i];
}
