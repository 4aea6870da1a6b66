/// Four numbers of up to 32512 in size as (four high bytes, four low bytes), both signed: v = 256 high + low.
fn split_bytes(v: vec4i) -> vec2u {
  let low = bitcast<vec4u>(v) & vec4u(255u);
  let high = (bitcast<vec4u>(v + vec4i(128)) >> vec4u(8u)) & vec4u(255u);
  return vec2u(
    high.x | (high.y << 8u) | (high.z << 16u) | (high.w << 24u), low.x | (low.y << 8u) | (low.z << 16u) | (low.w << 24u));
}
