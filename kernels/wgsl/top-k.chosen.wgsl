// Items are what the chunks of an output have chosen (top-k.chunk.wgsl has the layout).
@group(0) @binding(1) var<storage, read> chosen: array<vec2<u32>>;

var<private> first_chunk: u32;

fn begin(group: vec3<u32>) -> u32 {
  first_chunk = group.y * CHUNKS;
  return (CHUNKS - 1) * K + min(K, WIDTH - (CHUNKS - 1) * CHUNK);
}

fn item_at(i: u32) -> u32 {
  return (first_chunk + i / K) * (K + 1) + 1 + i % K;
}

fn item_order(i: u32) -> u32 {
  return chosen[item_at(i)].x;
}

fn item_token(i: u32) -> u32 {
  return chosen[item_at(i)].y;
}

fn chunk_sum(chunk: u32) -> Sum {
  let words = chosen[(first_chunk + chunk) * (K + 1)];
  return Sum(bitcast<f32>(words.x), bitcast<f32>(words.y));
}

fn exponentials(count: u32, thread: u32) -> Sum {
  var largest = -3.4e38;
  for (var chunk = thread; chunk < CHUNKS; chunk += THREADS) {
    largest = max(largest, chunk_sum(chunk).largest);
  }
  largest = workgroup_max(largest, thread);
  var sum = 0.0;
  for (var chunk = thread; chunk < CHUNKS; chunk += THREADS) {
    let of_chunk = chunk_sum(chunk);
    sum += of_chunk.sum * exp(of_chunk.largest - largest);
  }
  return Sum(largest, workgroup_sum(sum, thread));
}
