#include "product-types.cuh"
#include "quant/q5_k.cuh"

namespace ntx::cuda {

const ProductKernels kQ5_KKernels = product_kernels<Q5_K>(Type::q5_k);

}  // namespace ntx::cuda
