// Steps of 64 weights; activations and weights are codes of 8 bits, 16 in a quad. Sums of codes are exact; each 32 (or 16, as
// the type has it) are scaled and added in f32.

/// The first words of scales and sums in scratch.
override SCALES: u32;
override SUMS: u32;

@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(7) var<storage, read> x_floats: array<f32>;

/// Scales of a row in a step.
const SUBS = 64u / SUB;

var<workgroup> w_quads: array<vec4u, 4u * GROUP>;
var<workgroup> x_quads: array<vec4u, 4u * TILE_ROWS>;
/// [sub][row]
var<workgroup> w_scales: array<f32, SUBS * GROUP>;
var<workgroup> w_offsets: array<f32, select(1u, SUBS * GROUP, HAS_OFFSET)>;
var<workgroup> x_scales: array<f32, 2u * TILE_ROWS>;
var<workgroup> x_sums: array<f32, select(1u, SUBS * TILE_ROWS, HAS_OFFSET)>;

fn dot_quads(sum: i32, a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w) + sum;
}

/// Fills the tile of weights: chunk c of the step is quad c of a row.
fn store_weights(group: u32, step: u32, thread: u32) {
  for (var n = thread; n < 4u * GROUP; n += 256u) {
    let i = n / 4u;
    let c = n % 4u;
    var coded = Sixteen();
    if (64u * step + 16u * c < K) {
      coded = load_16(weight_row(group, i), 4u * step + c);
    }
    w_quads[quad_place(i, c)] = vec4u(coded.codes[0], coded.codes[1], coded.codes[2], coded.codes[3]);
    if (SUB == 16u || c % 2u == 0u) {
      let at = c * 16u / SUB * GROUP + i;
      w_scales[at] = coded.scale;
      if (HAS_OFFSET) {
        w_offsets[at] = coded.offset;
      }
    }
  }
}

fn store_activations(first_row: u32, step: u32, thread: u32) {
  for (var n = thread; n < 4u * TILE_ROWS; n += 256u) {
    let i = n / 4u;
    let c = n % 4u;
    let r = first_row + i;
    let inside = r < counts[COUNT] && 64u * step + 16u * c < K;
    let at = (r * K + 64u * step) / 16u + c;
    var quad = vec4u();
    if (inside) {
      quad = x_codes[at];
    }
    x_quads[quad_place(i, c)] = quad;
    if (c % 2u == 0u) {
      x_scales[c / 2u * TILE_ROWS + i] = select(0.0, x_floats[SCALES + at / 2u], inside);
    }
    if (HAS_OFFSET && SUB == 16u) {
      x_sums[c * TILE_ROWS + i] = select(0.0, x_floats[SUMS + at], inside);
    }
    if (HAS_OFFSET && SUB == 32u && c % 2u == 0u) {
      x_sums[c / 2u * TILE_ROWS + i] = select(0.0, x_floats[SUMS + at] + x_floats[SUMS + at + 1u], inside);
    }
  }
}

fn sum_tile(sums: ptr<function, array<f32, TM * TN>>, group: u32, first_row: u32, thread: u32) {
  let row = thread / 16u;
  let column = thread % 16u;
  for (var step = 0u; 64u * step < K; step++) {
    store_weights(group, step, thread);
    store_activations(first_row, step, thread);
    workgroupBarrier();
    for (var sub = 0u; sub < SUBS; sub++) {
      var dots = array<i32, TM * TN>();
      for (var q = sub * SUB / 16u; q < (sub + 1u) * SUB / 16u; q++) {
        var x: array<vec4u, TM>;
        for (var i = 0u; i < TM; i++) {
          x[i] = x_quads[quad_place(row, q) + 64u * i];
        }
        for (var j = 0u; j < TN; j++) {
          let w = w_quads[quad_place(column, q) + 64u * j];
          for (var i = 0u; i < TM; i++) {
            dots[i * TN + j] = dot_quads(dots[i * TN + j], x[i], w);
          }
        }
      }
      for (var i = 0u; i < TM; i++) {
        let x_scale = x_scales[sub * SUB / 32u * TILE_ROWS + row + 16u * i];
        for (var j = 0u; j < TN; j++) {
          let at = sub * GROUP + column + 16u * j;
          (*sums)[i * TN + j] += x_scale * w_scales[at] * f32(dots[i * TN + j]);
          if (HAS_OFFSET) {
            (*sums)[i * TN + j] += w_offsets[at] * x_sums[sub * TILE_ROWS + row + 16u * i];
          }
        }
      }
    }
    workgroupBarrier();
  }
}
