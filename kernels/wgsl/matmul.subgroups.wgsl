enable subgroups;

fn subgroup_sum(v: Reals) -> Reals {
  return subgroupAdd(v);
}

fn subgroup_total(v: f32) -> f32 {
  return subgroupAdd(v);
}
