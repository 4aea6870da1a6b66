// Activations to 8 bits: blocks of 32 with a scale s = max|x| / 127 and codes round(x / s), for products that multiply codes
// with codes. Into scratch: codes [row][K], scales [row][K / 32] and s * (sum of 16 codes) [row][K / 16], the last for types
// with offsets. One thread a block.
override THREADS: u32;
/// The first words of scales and of sums in scratch.
override SCALES: u32;
override SUMS: u32;

@group(0) @binding(3) var<storage, read_write> scratch: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let block = id.x + id.y * workgroups.x * THREADS;
  let r = block / (K / 32u);
  if (r >= counts[COUNT]) {
    return;
  }
  var x: array<vec4f, 8>;
  var largest = vec4f();
  for (var i = 0u; i < 8u; i++) {
    x[i] = activations(r, 32u * (block % (K / 32u)) + 4u * i);
    largest = max(largest, abs(x[i]));
  }
  let size = max(max(largest.x, largest.y), max(largest.z, largest.w));
  // Below the first bound the inverse would not be finite; such activations count as zero.
  let inverse = select(0.0, 127.0 / size, size > 1e-35);
  let scale = size / 127.0;
  scratch[SCALES + block] = bitcast<u32>(scale);
  for (var h = 0u; h < 2u; h++) {
    var sum = 0i;
    for (var i = 0u; i < 4u; i++) {
      let codes = pack4xI8(vec4i(round(x[4u * h + i] * inverse)));
      scratch[8u * block + 4u * h + i] = codes;
      sum = dot4I8Packed(codes, 0x01010101u) + sum;
    }
    scratch[SUMS + 2u * block + h] = bitcast<u32>(scale * f32(sum));
  }
}
