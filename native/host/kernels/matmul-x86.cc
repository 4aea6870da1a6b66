// The kernel tables of x86-64. This file is compiled for every CPU, and enters nothing compiled for more than that
// before it has asked the CPU (__builtin_cpu_supports also asks whether the system saves the wider registers).
#if defined(__x86_64__)
#include "matmul-kernels.h"
#include "matmul-x86.h"

namespace ntx {

namespace {

MatmulKernels make_avx2() {
  MatmulKernels kernels = portable_kernels();
  kernels.name = "avx2";
  kernels.round32 = round32_avx2;
  kernels.round256 = round256_avx2;
  enter_float_products_avx2(kernels);
  enter_block_matvecs_avx2(kernels);
  enter_k_matvecs_avx2(kernels);
  enter_matmats_avx2(kernels);
  kernels.matmat_from = 5;
  return kernels;
}

MatmulKernels make_avx512() {
  MatmulKernels kernels = make_avx2();
  kernels.name = "avx512";
  enter_float_products_avx512(kernels);
  enter_block_matvecs_avx512(kernels);
  enter_k_matvecs_avx512(kernels);
  enter_matmats_avx512(kernels);
  kernels.matmat_from = 4;
  return kernels;
}

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

const MatmulKernels* avx2_kernels() {
  if (!has_avx2()) return nullptr;
  static const MatmulKernels table = make_avx2();
  return &table;
}

const MatmulKernels* avx512_kernels() {
  if (!has_avx512()) return nullptr;
  static const MatmulKernels table = make_avx512();
  return &table;
}

}  // namespace ntx
#endif
