#include <algorithm>
#include <stdexcept>
#include <string>

#include "product-device.cuh"
#include "product-group.h"
#include "product-launch.h"
#include "quantize.h"

namespace ntx::cuda {

namespace {

const ProductKernels* const kKernels[] = {&kQ4_0Kernels, &kQ4_1Kernels, &kQ5_0Kernels, &kQ5_1Kernels, &kQ8_0Kernels,
                                          &kQ2_KKernels, &kQ3_KKernels, &kQ4_KKernels, &kQ5_KKernels, &kQ6_KKernels};

/** Null for types that are not quantised. */
const ProductKernels* kernels_of(int type) {
  for (const ProductKernels* kernels : kKernels) {
    if (static_cast<int>(kernels->type) == type) return kernels;
  }
  return nullptr;
}

bool is_float(int type) {
  return type == static_cast<int>(Type::f32) || type == static_cast<int>(Type::f16) ||
         type == static_cast<int>(Type::bf16);
}

/** Up to this many rows the kernels take all columns of a block at once (product-columns.cuh). */
constexpr uint32_t kMostColumns = 64;

uint32_t column_width(uint32_t rows) { return rows <= 8 ? 8 : rows <= 16 ? 16 : 64; }

bool mixed_gate(const Product& product) {
  return product.kind == ProductKind::gated && product.parts[0].type != product.parts[1].type;
}

/** What lies in a product's scratch: byte offsets. */
struct Scratch {
  uint32_t width, blocks;
  size_t scales, sums, normed, up, end;

  explicit Scratch(const Product& product) {
    const auto align = [](size_t bytes) { return (bytes + 255) / 256 * 256; };
    width = column_width(product.rows);
    blocks = (product.rows + width - 1) / width;
    const size_t columns = static_cast<size_t>(width) * blocks, pieces = (product.cols + 31) / 32;
    scales = align(columns * pieces * 32);
    sums = scales + align(columns * pieces * sizeof(float));
    normed = sums + align(columns * pieces * sizeof(float));
    up = normed + align(product.norm != nullptr ? sizeof(float) * product.rows * product.cols : 0);
    end = up + (mixed_gate(product) ? align(sizeof(float) * product.rows * product.parts[1].rows) : 0);
  }
};

void check(const Product& product) {
  const auto refuse = [](const std::string& what) { throw std::invalid_argument("CUDA matrix product: " + what); };
  const uint32_t count = product.part_count;
  if (count < 1 || count > 3) refuse("1 to 3 parts, not " + std::to_string(count));
  if (product.kind == ProductKind::gated && (count != 2 || product.parts[0].rows != product.parts[1].rows)) {
    refuse("a gated product takes gate and up of one shape");
  }
  for (uint32_t i = 0; i < count; ++i) {
    const int type = product.parts[i].type;
    const ProductKernels* kernels = kernels_of(type);
    if (kernels == nullptr && !is_float(type)) refuse("no weights of ggml type " + std::to_string(type));
    if (kernels != nullptr && (product.cols == 0 || product.cols % kernels->form != 0)) {
      refuse(std::to_string(product.cols) + " columns of ggml type " + std::to_string(type));
    }
  }
}

struct NormArgs {
  const float *input, *weights;
  float* out;
  uint32_t cols;
  float eps;
};

/** A row a block; float products take their input normed. */
__global__ void __launch_bounds__(256) product_norm(const __grid_constant__ NormArgs args) {
  __shared__ float partial[8];
  let_next_begin();
  wait_for_previous();
  const float* const row = args.input + static_cast<size_t>(blockIdx.x) * args.cols;
  float squares = 0;
  for (uint32_t i = threadIdx.x; i < args.cols; i += blockDim.x) squares += __ldcg(row + i) * __ldcg(row + i);
  squares = warp_sum(squares);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = squares;
  __syncthreads();
  float sum = 0;
  for (float value : partial) sum += value;
  const float factor = 1.0f / sqrtf(sum / static_cast<float>(args.cols) + args.eps);
  for (uint32_t i = threadIdx.x; i < args.cols; i += blockDim.x) {
    args.out[static_cast<size_t>(blockIdx.x) * args.cols + i] = __ldcg(row + i) * args.weights[i] * factor;
  }
}

struct GateArgs {
  float* gate;
  const float* up;
  size_t count;
};

/** For gate and up of two types, whose products are made one after the other. */
__global__ void __launch_bounds__(256) product_gate(const __grid_constant__ GateArgs args) {
  let_next_begin();
  wait_for_previous();
  for (size_t i = blockIdx.x * 256ull + threadIdx.x; i < args.count; i += gridDim.x * 256ull) {
    args.gate[i] = silu(__ldcg(args.gate + i)) * __ldcg(args.up + i);
  }
}

/** Launches a product's groups, rounding or norming the input for them where that is not done yet. */
class Launcher {
 public:
  Launcher(const Product& product, const DeviceTraits& device, cudaStream_t stream)
      : product_(product), device_(device), stream_(stream), offsets_(product) {
    scratch_ = static_cast<uint8_t*>(product.scratch);
  }

  void launch(const ProductPart* parts, uint32_t count, ProductKind kind) {
    ProductGroup group{product_.input, product_.norm, product_.norm_eps,         product_.cols,
                       product_.rows,  kind,          product_.behind_attention, count,         {}, {}};
    for (uint32_t i = 0; i < count; ++i) group.parts[i] = parts[i];
    group.columns = {offsets_.width, offsets_.blocks, scratch_, reinterpret_cast<float*>(scratch_ + offsets_.scales),
                     scratch_ + offsets_.sums};
    const ProductKernels* kernels = kernels_of(parts[0].type);
    if (kernels == nullptr) return launch_floats(group);
    if (product_.rows == 1 && kernels->vector(group, device_, stream_)) return;
    if (rounded_ != kernels->form) launch_quantize(group, kernels->form, device_, stream_);
    rounded_ = kernels->form;
    (product_.rows <= kMostColumns ? kernels->columns : kernels->tiles)(group, device_, stream_);
  }

  void combine_gate(float* gate, const float* up, uint32_t rows) {
    const size_t count = static_cast<size_t>(product_.rows) * rows;
    const unsigned blocks = static_cast<unsigned>(std::min<size_t>((count + 255) / 256, 1024));
    launch_kernel(product_gate, GateArgs{gate, up, count}, {dim3(blocks), 256, 0}, device_, stream_);
  }

  float* up() const { return reinterpret_cast<float*>(scratch_ + offsets_.up); }

 private:
  void launch_floats(ProductGroup& group) {
    if (product_.norm != nullptr) {
      float* const normed = reinterpret_cast<float*>(scratch_ + offsets_.normed);
      if (!normed_) {
        const NormArgs args{product_.input, product_.norm, normed, product_.cols, product_.norm_eps};
        launch_kernel(product_norm, args, {dim3(product_.rows), 256, 0}, device_, stream_);
      }
      normed_ = true;
      group.input = normed;
      group.norm = nullptr;
    }
    launch_float_product(static_cast<Type>(group.parts[0].type), group, device_, stream_);
  }

  const Product& product_;
  const DeviceTraits& device_;
  cudaStream_t stream_;
  Scratch offsets_;
  uint8_t* scratch_;
  Form rounded_ = 0;
  bool normed_ = false;
};

}  // namespace

size_t product_scratch_bytes(const Product& product) { return Scratch(product).end; }

void launch_product(const Product& product, const DeviceTraits& device, cudaStream_t stream) {
  check(product);
  if (product.rows == 0) return;
  Launcher launcher(product, device, stream);
  if (mixed_gate(product)) {
    ProductPart up = product.parts[1];
    up.out = launcher.up();
    launcher.launch(&product.parts[0], 1, ProductKind::store);
    launcher.launch(&up, 1, ProductKind::store);
    return launcher.combine_gate(product.parts[0].out, up.out, up.rows);
  }
  bool launched[3] = {};
  for (uint32_t i = 0; i < product.part_count; ++i) {
    if (launched[i]) continue;
    ProductPart same[3];
    uint32_t count = 0;
    for (uint32_t j = i; j < product.part_count; ++j) {
      if (product.parts[j].type != product.parts[i].type) continue;
      same[count++] = product.parts[j];
      launched[j] = true;
    }
    launcher.launch(same, count, product.kind);
  }
}

}  // namespace ntx::cuda
