// What the kernels of a product get: the parts of one weight type, and the activations in the form that it takes.
#pragma once

#include "../../recorded-op.h"
#include "product.h"

namespace ntx::cuda {

/**
 * Activations of several rows, rounded by quantize.cu. Rows are columns of the product here: `blocks` blocks of `width`
 * columns each, 8, 16 or 64, and in each block, for piece p of 32 values of a row:
 *   codes   [p][column][32]: words (four codes) 0 and 4, 1 and 5, 2 and 6, 3 and 7, as mma's lanes take them
 *   scales  f32 [p][column], or [p / 8][column] in form 256
 *   sums    form 32: f32 [p][column] scale * sum of codes; form 256: f16 [p / 8][column][16] bare sums of sixteen codes
 */
struct RoundedColumns {
  uint32_t width, blocks;
  uint8_t* codes;
  float* scales;
  void* sums;
};

/** Values of a row that share a scale: 32 or 256. */
using Form = uint32_t;

/** The parts of a product that have one weight type; of a gated product gate and up, or one of them with kind store. */
struct ProductGroup {
  const float* input;
  const float* norm;
  float norm_eps;
  uint32_t cols, rows;
  ProductKind kind;
  bool behind_attention;
  uint32_t part_count;
  ProductPart parts[3];
  RoundedColumns columns;

  /** Rows of all matrices. */
  __host__ __device__ uint32_t matrix_rows() const {
    uint32_t sum = parts[0].rows;
    for (uint32_t i = 1; i < part_count; ++i) sum += parts[i].rows;
    return sum;
  }
};

/** The kernels of one quantised type. */
struct ProductKernels {
  Type type;
  Form form;
  /** One row; false where its activations do not fit into shared memory. */
  bool (*vector)(const ProductGroup&, const DeviceTraits&, cudaStream_t);
  /** Up to 64 rows, in one block of columns. */
  void (*columns)(const ProductGroup&, const DeviceTraits&, cudaStream_t);
  /** Any number of rows, in blocks of 64 columns. */
  void (*tiles)(const ProductGroup&, const DeviceTraits&, cudaStream_t);
};

// product-<type>.cu
extern const ProductKernels kQ4_0Kernels, kQ4_1Kernels, kQ5_0Kernels, kQ5_1Kernels, kQ8_0Kernels;
extern const ProductKernels kQ2_KKernels, kQ3_KKernels, kQ4_KKernels, kQ5_KKernels, kQ6_KKernels;

/** F32, F16 and BF16, any number of rows and columns; group.input is normed already (product-floats.cu). */
void launch_float_product(Type type, const ProductGroup& group, const DeviceTraits& device, cudaStream_t stream);

}  // namespace ntx::cuda
