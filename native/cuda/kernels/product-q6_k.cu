#include "product-types.cuh"
#include "quant/q6_k.cuh"

namespace ntx::cuda {

const ProductKernels kQ6_KKernels = product_kernels<Q6_K>(Type::q6_k);

}  // namespace ntx::cuda
