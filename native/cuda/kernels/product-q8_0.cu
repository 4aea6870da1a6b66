#include "product-types.cuh"
#include "quant/q8_0.cuh"

namespace ntx::cuda {

const ProductKernels kQ8_0Kernels = product_kernels<Q8_0>(Type::q8_0);

}  // namespace ntx::cuda
