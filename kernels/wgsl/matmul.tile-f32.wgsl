// Steps of 16 weights in f32, four in a quad: for weights that are floats, and for all where there are no packed products.
var<workgroup> w_quads: array<vec4f, 4u * GROUP>;
var<workgroup> x_quads: array<vec4f, 4u * TILE_ROWS>;

fn store_weights(group: u32, step: u32, thread: u32) {
  for (var i = thread; i < GROUP; i += 256u) {
    let decoded = decode_16(weight_row(group, i), step);
    for (var q = 0u; q < 4u; q++) {
      w_quads[quad_place(i, q)] = vec4f(decoded[q][0], decoded[q][1], decoded[q][2], decoded[q][3]);
    }
  }
}

fn store_activations(first_row: u32, step: u32, thread: u32) {
  // From the last thread on: the first ones have weights to decode.
  for (var n = 255u - thread; n < 4u * TILE_ROWS; n += 256u) {
    let i = n / 4u;
    let k = 16u * step + 4u * (n % 4u);
    var x = vec4f();
    if (first_row + i < counts[COUNT] && k < K) {
      x = activations(first_row + i, k);
    }
    x_quads[quad_place(i, n % 4u)] = x;
  }
}

fn sum_tile(sums: ptr<function, array<f32, TM * TN>>, group: u32, first_row: u32, thread: u32) {
  let row = thread / 16u;
  let column = thread % 16u;
  for (var step = 0u; 16u * step < K; step++) {
    store_weights(group, step, thread);
    store_activations(first_row, step, thread);
    workgroupBarrier();
    for (var q = 0u; q < 4u; q++) {
      var x: array<vec4f, TM>;
      for (var i = 0u; i < TM; i++) {
        x[i] = x_quads[quad_place(row, q) + 64u * i];
      }
      for (var j = 0u; j < TN; j++) {
        let w = w_quads[quad_place(column, q) + 64u * j];
        for (var i = 0u; i < TM; i++) {
          (*sums)[i * TN + j] += x[i].x * w.x + x[i].y * w.y + x[i].z * w.z + x[i].w * w.w;
        }
      }
    }
    workgroupBarrier();
  }
}
