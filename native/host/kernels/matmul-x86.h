// What the files compiled for AVX2 and AVX-512 give to the tables of matmul-x86.cc. Only to be called on CPUs that have
// these instructions.
#pragma once

#include "matmul-kernels.h"

namespace ntx {

void round32_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);
void round256_avx2(const float* values, int64_t cols, int64_t begin, int64_t end, uint8_t* record);

void enter_float_products_avx2(MatmulKernels& kernels);
void enter_block_matvecs_avx2(MatmulKernels& kernels);
void enter_k_matvecs_avx2(MatmulKernels& kernels);
void enter_matmats_avx2(MatmulKernels& kernels);

void enter_float_products_avx512(MatmulKernels& kernels);
void enter_block_matvecs_avx512(MatmulKernels& kernels);
void enter_k_matvecs_avx512(MatmulKernels& kernels);
void enter_matmats_avx512(MatmulKernels& kernels);

}  // namespace ntx
