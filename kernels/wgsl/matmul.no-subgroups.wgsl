fn subgroup_sum(v: Reals) -> Reals {
  return v;
}

fn subgroup_total(v: f32) -> f32 {
  return v;
}
