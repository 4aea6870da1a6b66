// Matrix products of activations with weights in GGUF's own bytes: what the executor launches for `matmul` and
// `gated-matmul`, for any number of rows.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace ntx::cuda {

/** What the choice of a kernel needs to know of the device. */
struct DeviceTraits {
  int major, minor;
  int multiprocessors;
  size_t shared_per_block_optin;  // bytes
};

/** gated: parts[0] = gate, parts[1] = up, out of parts[0] = silu(gate) * up. */
enum class ProductKind { store, accumulate, gated };

/** out[r][n] (+)= sum_k input[r][k] * weights[n][k] + bias[n] */
struct ProductPart {
  int type;                // ggml type number as in native/ops.h
  const uint8_t* weights;  // [rows][cols]; on 16 bytes, and readable to the next multiple of 16 bytes after its end
  const float* bias;       // [rows] or null
  float* out;              // [product rows][rows]
  uint32_t rows;
};

struct Product {
  const float* input;  // [rows][cols] f32, on 16 bytes
  const float* norm;   // weights [cols] of an rms-norm of the input that is fused in front, or null
  float norm_eps;
  uint32_t cols;
  ProductKind kind;
  uint32_t part_count;  // 1..3, over one input; types may differ
  ProductPart parts[3];
  bool behind_attention;  // whose few thread blocks are still running when this product's begin
  uint32_t rows;  // activation rows, known when the launch is captured: a graph is captured for each row count
  void* scratch;  // of product_scratch_bytes(), on 256 bytes; shared by all products of a stream
};

size_t product_scratch_bytes(const Product& product);

/**
 * Throws std::invalid_argument for a type or shape that is not supported, CudaError when CUDA refuses a launch.
 * Only launches, never allocates or waits: it is called under stream capture.
 *
 * On sm_90 and later every kernel is launched as a programmatic dependent of the stream's last one: it may start before
 * that has ended, reads nothing but weights until it has waited for it (griddepcontrol.wait), and does wait before it
 * ends. A kernel that lets its dependents start early must do the same, or order is lost for the kernels after it.
 */
void launch_product(const Product& product, const DeviceTraits& device, cudaStream_t stream);

}  // namespace ntx::cuda
