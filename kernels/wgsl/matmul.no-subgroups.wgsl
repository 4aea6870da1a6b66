fn subgroup_sum(v: Reals) -> Reals {
  return v;
}
