@group(0) @binding(8) var<storage, read> q_norm: array<f32>;
@group(0) @binding(9) var<storage, read> k_norm: array<f32>;

/// Reads of both heads only what the same invocation has written.
fn norm_heads(thread: u32) {
  var squares = vec2f();
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    squares += vec2f(queries[i] * queries[i], keys[i] * keys[i]);
  }
  let q_factor = inverseSqrt(workgroup_sum(squares.x, thread) / f32(HEAD_DIM) + EPS);
  let k_factor = inverseSqrt(workgroup_sum(squares.y, thread) / f32(HEAD_DIM) + EPS);
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    queries[i] *= q_factor * q_norm[i];
    keys[i] *= k_factor * k_norm[i];
  }
}
