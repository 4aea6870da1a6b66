// What the memory can be read with: `fill` gives every word a value of its own, `main` adds up all of them. A thread has four
// loads in flight.

/// Vectors of four words in the binding.
override QUADS: u32;
/// Of all workgroups.
override THREADS: u32;

@group(0) @binding(0) var<storage, read> quads: array<vec4u>;
/// The sum of all words, modulo 2^32.
@group(0) @binding(1) var<storage, read_write> total: atomic<u32>;
/// What `quads` are, for `fill`.
@group(0) @binding(2) var<storage, read_write> filled: array<vec4u>;

var<workgroup> workgroup_total: atomic<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = vec4u();
  var i = id.x;
  for (; i + 3u * THREADS < QUADS; i += 4u * THREADS) {
    sum += (quads[i] + quads[i + THREADS]) + (quads[i + 2u * THREADS] + quads[i + 3u * THREADS]);
  }
  for (; i < QUADS; i += THREADS) {
    sum += quads[i];
  }
  atomicAdd(&workgroup_total, sum.x + sum.y + sum.z + sum.w);
  workgroupBarrier();
  if (thread == 0u) {
    atomicAdd(&total, atomicLoad(&workgroup_total));
  }
}

/// Word n becomes n times Knuth's multiplier (The Art of Computer Programming, volume 3, section 6.4).
@compute @workgroup_size(256)
fn fill(@builtin(global_invocation_id) id: vec3u) {
  for (var i = id.x; i < QUADS; i += THREADS) {
    filled[i] = (4u * i + vec4u(0u, 1u, 2u, 3u)) * 2654435761u;
  }
}
