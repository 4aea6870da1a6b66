/// Logits that a lane has in flight: software has no latency to hide and compiles what is less.
const LOADS = 2u;
