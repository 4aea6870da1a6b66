// Heads of q, then of k, then of v, of the row group.y.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  if (group.x < HEADS) {
    rotate_q(group.x, group.y, thread);
  } else if (group.x < HEADS + KV_HEADS) {
    write_k(group.x - HEADS, group.y, thread);
  } else {
    write_v(group.x - HEADS - KV_HEADS, group.y, thread);
  }
}
