// Decoding of one row of a matrix. The files of the types are written for Bits and Reals, which stand for one row here and
// for several in rows-2.wgsl and rows-4.wgsl.
alias Bits = u32;
alias Ints = i32;
alias Reals = f32;
alias Flags = bool;

const LANES = 1u;

fn low_half(v: Bits) -> Reals {
  return unpack2x16float(v).x;
}

fn high_half(v: Bits) -> Reals {
  return unpack2x16float(v).y;
}

fn lane_bits(i: u32, v: u32) -> Bits {
  return v;
}

fn lane_of(v: Reals, i: u32) -> f32 {
  return v;
}
