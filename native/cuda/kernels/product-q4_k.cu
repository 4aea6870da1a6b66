#include "product-types.cuh"
#include "quant/q4_k.cuh"

namespace ntx::cuda {

const ProductKernels kQ4_KKernels = product_kernels<Q4_K>(Type::q4_k);

}  // namespace ntx::cuda
