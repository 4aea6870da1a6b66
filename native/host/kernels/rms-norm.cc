#include "kernels.h"
#include "vector-kernels.h"

namespace ntx {

void rms_norm(Worker& worker, const RmsNorm& op, const Step& step) {
  const VectorKernels& kernels = vector_kernels();
  const int64_t rows = op.select_outputs ? step.header->outputs : step.header->rows;
  int64_t begin, end;
  while (worker.take(rows, 1, begin, end)) {
    const int64_t from = op.select_outputs ? step.outputs[begin].row : begin;
    kernels.rms_norm(op.in + from * op.width, op.weight, op.out + begin * op.width, op.width, op.eps);
  }
}

}  // namespace ntx
