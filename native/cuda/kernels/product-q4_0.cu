#include "product-types.cuh"
#include "quant/q4_0.cuh"

namespace ntx::cuda {

const ProductKernels kQ4_0Kernels = product_kernels<Q4_0>(Type::q4_0);

}  // namespace ntx::cuda
