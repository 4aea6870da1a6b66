#pragma once

#include "product-columns.cuh"
#include "product-tiles.cuh"
#include "product-vector.cuh"

namespace ntx::cuda {

/** The kernels for one decoder of quant/. */
template <class T>
constexpr ProductKernels product_kernels(Type type) {
  return {type, T::kBlock, launch_vector<T>, launch_columns<T>, launch_tiles<T>};
}

}  // namespace ntx::cuda
