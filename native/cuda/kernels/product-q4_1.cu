#include "product-types.cuh"
#include "quant/q4_1.cuh"

namespace ntx::cuda {

const ProductKernels kQ4_1Kernels = product_kernels<Q4_1>(Type::q4_1);

}  // namespace ntx::cuda
