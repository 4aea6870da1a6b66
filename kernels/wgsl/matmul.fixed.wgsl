// Activations to fixed point: v = round(x / s) of 16 bits with one scale s = max|x| / 32512 a row, split into two signed bytes,
// v = 256 high + low. Into scratch: the high bytes [row][K], the low ones [row][K], the scales [row]. One workgroup a row.
override THREADS: u32;
/// The first words of low bytes and of scales in scratch.
override LOWS: u32;
override SCALES: u32;

@group(0) @binding(3) var<storage, read_write> scratch: array<u32>;

var<workgroup> largest: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) thread: u32) {
  let r = workgroup.x;
  var size = vec4f();
  for (var k = 4u * thread; k < K; k += 4u * THREADS) {
    size = max(size, abs(activations(r, k)));
  }
  largest[thread] = max(max(size.x, size.y), max(size.z, size.w));
  for (var stride = THREADS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (thread < stride) {
      largest[thread] = max(largest[thread], largest[thread + stride]);
    }
  }
  let most = workgroupUniformLoad(&largest[0]);
  // Below the first bound the inverse would not be finite; such activations count as zero.
  let inverse = select(0.0, 32512.0 / most, most > 1e-33);
  for (var k = 4u * thread; k < K; k += 4u * THREADS) {
    let bytes = split_bytes(vec4i(round(activations(r, k) * inverse)));
    scratch[(r * K + k) / 4u] = bytes.x;
    scratch[LOWS + (r * K + k) / 4u] = bytes.y;
  }
  if (thread == 0u) {
    scratch[SCALES + r] = bitcast<u32>(most / 32512.0);
  }
}
