// Steps of 64 weights; activations and weights are codes of 8 bits, 16 in a quad. Sums of codes are exact; each 32 (or 16, as
// the type has it) are scaled and added in f32. A step's operands are loaded to registers while the step before is computed.

/// The first words of scales and sums in scratch.
override SCALES: u32;
override SUMS: u32;

@group(0) @binding(1) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(7) var<storage, read> x_floats: array<f32>;

/// Scales of a row in a step.
const SUBS = 64u / SUB;
/// Quads of both tiles that a thread loads in a step.
const W_LOADS = (4u * GROUP + 255u) / 256u;
const X_LOADS = (4u * TILE_ROWS + 255u) / 256u;

var<workgroup> w_quads: array<vec4u, 4u * GROUP>;
var<workgroup> x_quads: array<vec4u, 4u * TILE_ROWS>;
/// [sub][row]
var<workgroup> w_scales: array<f32, SUBS * GROUP>;
var<workgroup> w_offsets: array<f32, select(1u, SUBS * GROUP, HAS_OFFSET)>;
var<workgroup> x_scales: array<f32, 2u * TILE_ROWS>;
var<workgroup> x_sums: array<f32, select(1u, SUBS * TILE_ROWS, HAS_OFFSET)>;

struct Activations {
  quad: vec4u,
  scale: f32,
  sum: f32,
}

struct Loads {
  w: array<Sixteen, W_LOADS>,
  x: array<Activations, X_LOADS>,
}

fn dot_quads(sum: i32, a: vec4u, b: vec4u) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w) + sum;
}

/// Thread t loads chunk t % 4 of rows t / 4, t / 4 + 64 and so on; beyond the matrices zeros.
fn load_step(rows: ptr<function, array<u32, W_LOADS>>, first_row: u32, step: u32, thread: u32) -> Loads {
  var loads = Loads();
  let c = thread % 4u;
  if (64u * step + 16u * c >= K) {
    return loads;
  }
  for (var n = 0u; n < W_LOADS; n++) {
    loads.w[n] = load_16((*rows)[n], 4u * step + c);
  }
  for (var n = 0u; n < X_LOADS; n++) {
    let r = first_row + thread / 4u + 64u * n;
    if (r < counts[COUNT]) {
      let at = (r * K + 64u * step) / 16u + c;
      loads.x[n].quad = x_codes[at];
      loads.x[n].scale = x_floats[SCALES + at / 2u];
      if (HAS_OFFSET && SUB == 16u) {
        loads.x[n].sum = x_floats[SUMS + at];
      }
      if (HAS_OFFSET && SUB == 32u) {
        loads.x[n].sum = x_floats[SUMS + at / 2u * 2u] + x_floats[SUMS + at / 2u * 2u + 1u];
      }
    }
  }
  return loads;
}

fn store_step(loads: ptr<function, Loads>, thread: u32) {
  let c = thread % 4u;
  let sub = c * 16u / SUB;
  for (var n = 0u; n < W_LOADS; n++) {
    let i = thread / 4u + 64u * n;
    if (i < GROUP) {
      let codes = (*loads).w[n].codes;
      w_quads[quad_place(i, c)] = vec4u(codes[0], codes[1], codes[2], codes[3]);
      if (SUB == 16u || c % 2u == 0u) {
        w_scales[sub * GROUP + i] = (*loads).w[n].scale;
        if (HAS_OFFSET) {
          w_offsets[sub * GROUP + i] = (*loads).w[n].offset;
        }
      }
    }
  }
  for (var n = 0u; n < X_LOADS; n++) {
    let i = thread / 4u + 64u * n;
    if (i < TILE_ROWS) {
      x_quads[quad_place(i, c)] = (*loads).x[n].quad;
      if (c % 2u == 0u) {
        x_scales[c / 2u * TILE_ROWS + i] = (*loads).x[n].scale;
      }
      if (HAS_OFFSET && (SUB == 16u || c % 2u == 0u)) {
        x_sums[sub * TILE_ROWS + i] = (*loads).x[n].sum;
      }
    }
  }
}

fn sum_step(sums: ptr<function, array<f32, TM * TN>>, row: u32, column: u32) {
  for (var sub = 0u; sub < SUBS; sub++) {
    var dots = array<i32, TM * TN>();
    for (var q = sub * SUB / 16u; q < (sub + 1u) * SUB / 16u; q++) {
      var x = array<vec4u, TM>();
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
}

fn sum_tile(sums: ptr<function, array<f32, TM * TN>>, group: u32, first_row: u32, thread: u32) {
  var rows = array<u32, W_LOADS>();
  for (var n = 0u; n < W_LOADS; n++) {
    rows[n] = weight_row(group, min(thread / 4u + 64u * n, GROUP - 1u));
  }
  var loads = load_step(&rows, first_row, 0u, thread);
  for (var step = 0u; 64u * step < K; step++) {
    store_step(&loads, thread);
    workgroupBarrier();
    loads = load_step(&rows, first_row, step + 1u, thread);
    sum_step(sums, thread / 16u, thread % 16u);
    workgroupBarrier();
  }
}
