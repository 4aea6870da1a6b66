#pragma once

#include "product-group.h"

namespace ntx::cuda {

/** Rounds group.input, after the rms-norm if there is one, into group.columns; cols is a multiple of the form. */
void launch_quantize(const ProductGroup& group, Form form, const DeviceTraits& device, cudaStream_t stream);

}  // namespace ntx::cuda
