#include "vector-kernels-impl.h"

namespace ntx {

const VectorKernels& avx512_vector_kernels() {
  static constexpr VectorKernels kernels = vector_kernels_named("avx512");
  return kernels;
}

}  // namespace ntx
