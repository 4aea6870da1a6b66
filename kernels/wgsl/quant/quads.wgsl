// GGUF's bytes as quads of 16, for types whose blocks are multiples of them: one load instead of four.
@group(0) @binding(0) var<storage, read> weights: array<vec4u>;

fn quad(i: u32) -> vec4u {
  return weights[i];
}

/// The word that holds byte `at`.
fn word_with(at: u32) -> u32 {
  return weights[at >> 4u][(at >> 2u) & 3u];
}
