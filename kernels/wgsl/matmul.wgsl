// What every product (matmul, gated-matmul) knows of its matrices.

/// Weights of a row.
override K: u32;
/// Bytes of a row of weights.
override ROW_BYTES: u32;
/// Of `counts`: 0 where a product runs over the step's rows, 1 where it runs over its outputs.
override COUNT: u32;

@group(0) @binding(2) var<uniform> counts: vec4u;
