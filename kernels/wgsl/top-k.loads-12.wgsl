/// Logits that a lane has in flight: with 32 subgroups of 32, all of the groups that are looked at.
const LOADS = 12u;
