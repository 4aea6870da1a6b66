#include "product-types.cuh"
#include "quant/q2_k.cuh"

namespace ntx::cuda {

const ProductKernels kQ2_KKernels = product_kernels<Q2_K>(Type::q2_k);

}  // namespace ntx::cuda
