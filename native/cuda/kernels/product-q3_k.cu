#include "product-types.cuh"
#include "quant/q3_k.cuh"

namespace ntx::cuda {

const ProductKernels kQ3_KKernels = product_kernels<Q3_K>(Type::q3_k);

}  // namespace ntx::cuda
