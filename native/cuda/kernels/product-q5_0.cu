#include "product-types.cuh"
#include "quant/q5_0.cuh"

namespace ntx::cuda {

const ProductKernels kQ5_0Kernels = product_kernels<Q5_0>(Type::q5_0);

}  // namespace ntx::cuda
