// GGUF's bytes as words of 4.
@group(0) @binding(0) var<storage, read> weights: array<u32>;

fn word(i: u32) -> u32 {
  return weights[i];
}
