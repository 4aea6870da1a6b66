#include "kernels.h"

namespace ntx {

void embed(Worker& worker, const Embed& op, const Step& step) {
  const BlockSize block = block_size(op.table.type);
  const int64_t row_bytes = op.table.cols / block.weights * block.bytes;
  int64_t begin, end;
  while (worker.take(step.header->rows, 1, begin, end)) {
    const uint8_t* row = op.table.data + step.rows[begin].token * row_bytes;
    decode_row(op.table.type, row, op.table.cols, op.out + begin * op.table.cols);
  }
}

}  // namespace ntx
