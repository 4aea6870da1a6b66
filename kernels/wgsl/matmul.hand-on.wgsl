// Results go on as codes (code-rows.write.wgsl). A workgroup has whole blocks of them: OUTS is a multiple of 32.

/// The first word of `coded`.
override CODED: u32;
override VALUES: u32 = OUTS * COLS;

/// Where result `i` of a group of this workgroup and row c lies in `block_values`.
fn value_place(group: u32, i: u32, c: u32) -> u32 {
  return c * OUTS + group % GROUPS * GROUP_OUTS + i;
}

/// The last of a workgroup's doings: eight invocations a block.
fn hand_on(first_group: u32, thread: u32) {
  workgroupBarrier();
  let row_blocks = OUTS / 32u;
  for (var base = 0u; base < row_blocks * COLS; base += THREADS / 8u) {
    let i = min(base + thread / 8u, row_blocks * COLS - 1u);
    let c = i / row_blocks;
    let block = first_group * GROUP_OUTS / 32u + i % row_blocks;
    let live = base + thread / 8u == i && c < counts[COUNT] && block < CODED_WIDTH / 32u;
    code_block(live, 32u * i, CODED + c * CODED_WIDTH, block, thread);
  }
}
