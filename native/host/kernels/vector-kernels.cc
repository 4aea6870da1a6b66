// The table for every processor of the architecture: SSE2 on x86-64, NEON on ARM64.
#include <cstring>

#include "cpu-variant.h"
#include "vector-kernels-impl.h"

namespace ntx {

const VectorKernels& portable_vector_kernels() {
  static constexpr VectorKernels kernels = vector_kernels_named("portable");
  return kernels;
}

const VectorKernels& vector_kernels() {
#if defined(__x86_64__)
  const char* variant = cpu_variant();
  if (std::strcmp(variant, "avx512") == 0) return avx512_vector_kernels();
  if (std::strcmp(variant, "avx2") == 0) return avx2_vector_kernels();
#endif
  return portable_vector_kernels();
}

}  // namespace ntx
