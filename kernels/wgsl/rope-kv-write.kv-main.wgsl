@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  if (group.x < KV_HEADS) {
    write_k(group.x, group.y, thread);
  } else {
    write_v(group.x - KV_HEADS, group.y, thread);
  }
}
