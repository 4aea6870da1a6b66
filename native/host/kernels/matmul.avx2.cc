#if defined(__x86_64__)
#include "avx2.h"

namespace ntx {

namespace {

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

MatmulKernels make_table() {
  MatmulKernels kernels = portable_kernels();
  kernels.name = "avx2";
  kernels.supported = supported;
  kernels.round32 = round32_avx2;
  kernels.round256 = round256_avx2;
  enter_block_matvecs_avx2(kernels);
  enter_k_matvecs_avx2(kernels);
  enter_matmats_avx2(kernels);
  enter_float_products_avx2(kernels);
  kernels.matmat_from = 7;
  return kernels;
}

}  // namespace

const MatmulKernels& avx2_kernels() {
  static const MatmulKernels table = make_table();
  return table;
}

}  // namespace ntx
#endif
