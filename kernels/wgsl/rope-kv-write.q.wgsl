override Q_NORM: bool;

@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(0) @binding(3) var<storage, read> q_norm: array<f32>;

fn rotate_q(index: u32, row: u32, thread: u32) {
  let at = (row * HEADS + index) * HEAD_DIM;
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    head[i] = q[at + i];
  }
  if (Q_NORM) {
    let factor = norm_factor(thread);
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      head[i] *= factor * q_norm[i];
    }
  }
  rotate(row_position(row), thread);
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    q[at + i] = head[i];
  }
}
