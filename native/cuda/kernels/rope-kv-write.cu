// One warp a head of q, k or v.
#include "rope.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kWarps = 4;

__global__ void __launch_bounds__(32 * kWarps) rope_kv_write(RopeArguments a) {
  wait_for_previous();
  let_next_begin();
  const uint32_t lane = threadIdx.x % 32, heads_of_row = a.heads + 2 * a.kv_heads;
  const uint32_t h = blockIdx.x * kWarps + threadIdx.x / 32, r = blockIdx.y;
  if (h >= heads_of_row) return;
  const StepRow row = a.rows[r];
  if (h < a.heads) {
    float* head = a.q + (static_cast<uint64_t>(r) * a.heads + h) * a.head_dim;
    const float* turns = a.table + static_cast<uint64_t>(row.position) * a.rope_dim;
    norm_and_rotate(head, a.q_norm, turns, a, lane, [&](uint32_t i, float value) { head[i] = value; });
  } else if (h < a.heads + a.kv_heads) {
    write_key(a, row, r, h - a.heads, lane);
  } else {
    write_value(a, row, r, h - a.heads - a.kv_heads, lane);
  }
}

}  // namespace

void launch_rope_kv_write(const RopeKvWrite& op, const Pass& pass) {
  if (pass.rows == 0) return;
  const RopeArguments arguments = rope_arguments(op, pass);
  const dim3 grid((arguments.heads + 2 * arguments.kv_heads + kWarps - 1) / kWarps, pass.rows);
  launch(rope_kv_write, pass.traits, pass.stream, grid, 32 * kWarps, 0, arguments);
}

}  // namespace ntx::cuda
