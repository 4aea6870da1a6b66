// Tensor byte ranges to aligned reads. O_DIRECT wants offset and length in multiples of the logical block (512 or
// 4096 bytes); GGUF aligns tensors to 32 bytes only, so a read begins before its tensor and ends after it.

/** First byte of the aligned read that covers `offset`. `alignment` is a power of two. */
export function alignedBegin(offset: u64, alignment: u64): u64 {
  return offset & ~(alignment - 1);
}

/** One past the last byte of the aligned read that covers [offset, offset + bytes). Traps nothing: wraps at 2^64. */
export function alignedEnd(offset: u64, bytes: u64, alignment: u64): u64 {
  return (offset + bytes + alignment - 1) & ~(alignment - 1);
}
