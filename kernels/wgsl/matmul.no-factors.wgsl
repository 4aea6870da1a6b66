fn begin_factors(thread: u32) -> f32 {
  return 1.0;
}

fn end_factors(parts: f32, thread: u32) {
}

fn factor_of(c: u32) -> f32 {
  return 1.0;
}
