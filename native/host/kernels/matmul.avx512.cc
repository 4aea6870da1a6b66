#if defined(__x86_64__)
#include "avx512.h"

namespace ntx {

namespace {

bool supported() {
  return avx2_kernels().supported() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}

MatmulKernels make_table() {
  MatmulKernels kernels = avx2_kernels();
  kernels.name = "avx512";
  kernels.supported = supported;
  enter_block_matvecs_avx512(kernels);
  enter_k_matvecs_avx512(kernels);
  enter_matmats_avx512(kernels);
  enter_float_products_avx512(kernels);
  kernels.matmat_from = 5;
  return kernels;
}

}  // namespace

const MatmulKernels& avx512_kernels() {
  static const MatmulKernels table = make_table();
  return table;
}

}  // namespace ntx
#endif
