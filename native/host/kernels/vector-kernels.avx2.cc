#include "vector-kernels-impl.h"

namespace ntx {

const VectorKernels& avx2_vector_kernels() {
  static constexpr VectorKernels kernels = vector_kernels_named("avx2");
  return kernels;
}

}  // namespace ntx
