fn norm_heads(thread: u32) {
}
