#include "product-types.cuh"
#include "quant/q5_1.cuh"

namespace ntx::cuda {

const ProductKernels kQ5_1Kernels = product_kernels<Q5_1>(Type::q5_1);

}  // namespace ntx::cuda
