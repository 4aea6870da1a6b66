enable subgroups;

fn subgroup_sum(v: Reals) -> Reals {
  return subgroupAdd(v);
}
