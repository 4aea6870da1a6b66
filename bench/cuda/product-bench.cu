// Products of every weight type on the device at hand: whether they are right, how long they take alone, and how long
// those of the 8B model take together. Built and run by product-bench.sh; LOG.md has the figures.
//
//   product-bench check|time|model [type ...]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>

#include "../../native/cuda/kernels/product.h"
#include "device-data.cuh"

using ntx::block_size;
using ntx::BlockSize;
using namespace ntx::bench;
namespace cuda = ntx::cuda;
using ntx::cuda::Product;
using ntx::cuda::ProductKind;

namespace {

struct Shape {
  const char* name;
  ProductKind kind;
  uint32_t cols;
  std::vector<uint32_t> parts;
  bool norm, bias;
};

constexpr size_t kArenaBytes = size_t{17} << 29;
constexpr size_t kMostValues = size_t{512} * 28672;  // of activations and of results

/** Everything on the device that the products need, and the products. */
class Bench {
 public:
  Bench() {
    cudaDeviceProp properties;
    NTX_CUDA(cudaGetDeviceProperties(&properties, 0));
    traits_ = {properties.major, properties.minor, properties.multiProcessorCount, properties.sharedMemPerBlockOptin};
    std::printf("%s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);
    NTX_CUDA(cudaStreamCreate(&stream_));
    arena_ = device_array<uint8_t>(kArenaBytes + 16);
    input_ = device_array<float>(kMostValues);
    norm_ = device_array<float>(1 << 17);
    bias_ = device_array<float>(1 << 18);
    out_ = device_array<float>(kMostValues * 5);
    old_ = device_array<float>(kMostValues * 5);
    scratch_ = device_array<uint8_t>(size_t{256} << 20);
    fill_activations<<<1024, 256>>>(input_, kMostValues, 11, 0.0f);
    fill_activations<<<64, 256>>>(norm_, 1 << 17, 12, 1.0f);
    fill_activations<<<64, 256>>>(bias_, 1 << 18, 13, 0.0f);
    fill_activations<<<1024, 256>>>(old_, kMostValues * 5, 14, 0.0f);
    NTX_CUDA(cudaDeviceSynchronize());
  }

  void use_type(const TypeInfo& type) {
    type_ = type;
    const BlockSize block = block_size(type.type);
    // Copies of a matrix start on blocks, and on 256 bytes.
    unit_ = std::lcm(size_t{block.bytes}, size_t{256});
    if (type.form == 0) {
      fill_floats<<<4096, 256>>>(arena_, kArenaBytes / block.bytes, static_cast<int>(type.type), 1);
    } else {
      const int exponent = 15 - static_cast<int>(std::round(std::log2(type.largest_factor)));
      fill_blocks<<<4096, 256>>>(arena_, kArenaBytes / block.bytes, block.bytes, type.halves[0], type.halves[1],
                                 exponent, 1);
    }
    NTX_CUDA(cudaDeviceSynchronize());
  }

  size_t row_bytes(uint32_t cols) const {
    const BlockSize block = block_size(type_.type);
    return size_t{cols} / block.weights * block.bytes;
  }

  size_t matrix_bytes(uint32_t rows, uint32_t cols) const {
    return (rows * row_bytes(cols) + unit_ - 1) / unit_ * unit_;
  }

  /** Bytes of a product's weights; `offset` moves on in the arena, which begins again when it is full. */
  Product product(const Shape& shape, uint32_t rows, size_t& offset) {
    Product p{input_, shape.norm ? norm_ : nullptr, 1e-5f, shape.cols, shape.kind,
              static_cast<uint32_t>(shape.parts.size()), {}, false, rows, scratch_};
    size_t bytes = 0;
    for (uint32_t part : shape.parts) bytes += matrix_bytes(part, shape.cols);
    if (offset + bytes > kArenaBytes) offset = 0;
    size_t out = 0;
    for (uint32_t i = 0; i < p.part_count; ++i) {
      p.parts[i] = {static_cast<int>(type_.type), arena_ + offset, shape.bias ? bias_ + 31 * i : nullptr, out_ + out,
                    shape.parts[i]};
      offset += matrix_bytes(shape.parts[i], shape.cols);
      out += size_t{rows} * shape.parts[i];
    }
    if (cuda::product_scratch_bytes(p) > size_t{256} << 20) throw std::runtime_error("scratch is too small");
    return p;
  }

  void launch(const Product& product) { cuda::launch_product(product, traits_, stream_); }

  /** Milliseconds of what `record` launches, as a graph: the median of nine runs. */
  float time(const std::function<void()>& record) {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    NTX_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
    record();
    NTX_CUDA(cudaStreamEndCapture(stream_, &graph));
    NTX_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    cudaEvent_t from, to;
    NTX_CUDA(cudaEventCreate(&from));
    NTX_CUDA(cudaEventCreate(&to));
    std::vector<float> times;
    for (int i = 0; i < 11; ++i) {
      NTX_CUDA(cudaEventRecord(from, stream_));
      NTX_CUDA(cudaGraphLaunch(executable, stream_));
      NTX_CUDA(cudaEventRecord(to, stream_));
      NTX_CUDA(cudaEventSynchronize(to));
      float milliseconds;
      NTX_CUDA(cudaEventElapsedTime(&milliseconds, from, to));
      if (i >= 2) times.push_back(milliseconds);
    }
    NTX_CUDA(cudaGraphExecDestroy(executable));
    NTX_CUDA(cudaGraphDestroy(graph));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

  /** GB/s of a kernel that only reads. */
  double read_bandwidth() {
    const size_t bytes = size_t{4} << 30;
    const float milliseconds = time([&] {
      read_all<<<traits_.multiprocessors * 8, 512, 0, stream_>>>(reinterpret_cast<const uint4*>(arena_), bytes / 16,
                                                                reinterpret_cast<uint32_t*>(scratch_));
    });
    return bytes / 1e6 / milliseconds;
  }

  const TypeInfo& type() const { return type_; }

  /** What out holds before a check: the residual, or a value that no product has. */
  void prepare(ProductKind kind, size_t values) {
    if (kind == ProductKind::accumulate) {
      NTX_CUDA(cudaMemcpy(out_, old_, values * 4, cudaMemcpyDeviceToDevice));
    } else {
      NTX_CUDA(cudaMemset(out_, 0xff, values * 4));
    }
    NTX_CUDA(cudaMemset(out_ + values, 0x5a, 4096));
  }
  std::vector<float> results(size_t values, bool old = false) const {
    std::vector<float> data(values + 1024);
    NTX_CUDA(cudaStreamSynchronize(stream_));
    NTX_CUDA(cudaMemcpy(data.data(), old ? old_ : out_, data.size() * 4, cudaMemcpyDeviceToHost));
    return data;
  }
  std::vector<float> biases() const {
    std::vector<float> data(1 << 18);
    NTX_CUDA(cudaMemcpy(data.data(), bias_, data.size() * 4, cudaMemcpyDeviceToHost));
    return data;
  }

 private:
  cuda::DeviceTraits traits_;
  cudaStream_t stream_;
  uint8_t *arena_, *scratch_;
  float *input_, *norm_, *bias_, *out_, *old_;
  TypeInfo type_{};
  size_t unit_ = 256;
};

/** Rows of a matrix that are compared: all of a small one, else some of everywhere. */
std::vector<uint32_t> samples_of(uint32_t rows) {
  std::vector<uint32_t> samples;
  const uint32_t count = std::min(rows, 160u), last = std::max(1u, count - 1);
  for (uint32_t i = 0; i < count; ++i) samples.push_back(static_cast<uint32_t>(uint64_t{rows - 1} * i / last));
  return samples;
}

std::vector<Expected> expect(const Bench& bench, const Product& product, uint32_t part,
                             const std::vector<uint32_t>& samples) {
  const size_t row_bytes = bench.row_bytes(product.cols);
  std::vector<uint8_t> bytes(row_bytes + 16);
  std::vector<float> values, magnitudes;
  for (uint32_t row : samples) {
    const uint8_t* const weights = product.parts[part].weights + row * row_bytes;
    NTX_CUDA(cudaMemcpy(bytes.data(), weights, row_bytes, cudaMemcpyDeviceToHost));
    const DecodedRow decoded = decode_row(bench.type().type, bytes.data(), product.cols);
    values.insert(values.end(), decoded.values.begin(), decoded.values.end());
    magnitudes.insert(magnitudes.end(), decoded.magnitudes.begin(), decoded.magnitudes.end());
  }
  float* const device = device_array<float>(2 * values.size());
  NTX_CUDA(cudaMemcpy(device, values.data(), values.size() * 4, cudaMemcpyHostToDevice));
  NTX_CUDA(cudaMemcpy(device + values.size(), magnitudes.data(), values.size() * 4, cudaMemcpyHostToDevice));
  std::vector<Expected> expected(samples.size() * product.rows);
  Expected* const out = device_array<Expected>(expected.size());
  const ReferenceArgs args{product.input, product.norm, product.norm_eps, static_cast<int>(product.rows),
                           static_cast<int>(product.cols), bench.type().form, device, device + values.size(),
                           static_cast<int>(samples.size()), out};
  reference<<<dim3(args.samples, args.rows), 128>>>(args);
  NTX_CUDA(cudaMemcpy(expected.data(), out, expected.size() * sizeof(Expected), cudaMemcpyDeviceToHost));
  NTX_CUDA(cudaFree(device));
  NTX_CUDA(cudaFree(out));
  return expected;
}

/** The largest error in units of its limit; above 1 the product is wrong. */
double check(Bench& bench, const Shape& shape, uint32_t rows) {
  size_t offset = 0;
  const Product product = bench.product(shape, rows, offset);
  size_t values = 0;
  const bool gated = shape.kind == ProductKind::gated;
  for (uint32_t part : shape.parts) values += size_t{rows} * part;
  if (gated) values /= 2;
  bench.prepare(shape.kind, values);
  bench.launch(product);
  const std::vector<float> out = bench.results(values), biases = bench.biases();
  const bool adds = shape.kind == ProductKind::accumulate;
  const std::vector<float> old = adds ? bench.results(values, true) : std::vector<float>();
  double worst = 0;
  const auto compare = [&](double got, double value, double limit) {
    const double error = std::abs(got - value) / limit;
    worst = std::isnan(error) ? 1e9 : std::max(worst, error);
  };
  size_t first = 0;
  for (uint32_t i = 0; i < (gated ? 1 : product.part_count); ++i) {
    const uint32_t height = product.parts[i].rows;
    const std::vector<uint32_t> samples = samples_of(height);
    const std::vector<Expected> main = expect(bench, product, i, samples);
    const std::vector<Expected> up = gated ? expect(bench, product, 1, samples) : std::vector<Expected>();
    for (size_t k = 0; k < main.size(); ++k) {
      const size_t at = first + k / samples.size() * height + samples[k % samples.size()];
      const uint32_t row = samples[k % samples.size()];
      const double bias = shape.bias ? biases[31 * i + row] : 0, bias_up = shape.bias ? biases[31 + row] : 0;
      if (!gated) {
        const double before = old.empty() ? 0 : old[at];
        compare(out[at], main[k].value + bias + before,
                main[k].limit + 4 * 0x1p-24 * (std::abs(out[at]) + std::abs(bias) + std::abs(before)) + 1e-34);
        continue;
      }
      const double gate = main[k].value + bias, other = up[k].value + bias_up, sigmoid = 1 / (1 + std::exp(-gate));
      const double slope = std::min(1.1, std::abs(sigmoid * (1 + gate * (1 - sigmoid))) + 0.5 * main[k].limit);
      compare(out[at], gate * sigmoid * other,
              slope * main[k].limit * (std::abs(other) + up[k].limit) + std::abs(gate * sigmoid) * up[k].limit +
                  (12 + 4 * std::abs(gate)) * 0x1p-24 * std::abs(out[at]) + 1e-34);
    }
    first += size_t{rows} * height;
  }
  uint32_t guard;
  std::memcpy(&guard, &out[values], 4);
  return guard == 0x5a5a5a5a ? worst : 1e9;
}

const std::vector<Shape> kModelShapes = {
    {"qkv", ProductKind::store, 4096, {4096, 1024, 1024}, true, false},
    {"o", ProductKind::accumulate, 4096, {4096}, false, false},
    {"gate-up", ProductKind::gated, 4096, {14336, 14336}, true, false},
    {"down", ProductKind::accumulate, 14336, {4096}, false, false},
    {"head", ProductKind::store, 4096, {128256}, true, false},
};

int check_all(Bench& bench) {
  std::vector<Shape> shapes(kModelShapes.begin(), kModelShapes.end() - 1);
  for (uint32_t cols : {256u, 768u, 2304u}) {
    shapes.push_back({"odd", ProductKind::store, cols, {33, 7, 1}, false, true});
    shapes.push_back({"odd", ProductKind::accumulate, cols, {130, 5}, true, true});
    shapes.push_back({"odd", ProductKind::gated, cols, {67, 67}, true, true});
  }
  const std::vector<uint32_t> narrow = bench.type().form == 0 ? std::vector<uint32_t>{1, 4, 33, 50, 172, 64}
                                                              : std::vector<uint32_t>{32, 64, 96, 288, 352};
  for (uint32_t cols : bench.type().form == 256 ? std::vector<uint32_t>() : narrow) {
    shapes.push_back({"odd", ProductKind::store, cols, {19, 300}, false, true});
    shapes.push_back({"odd", ProductKind::gated, cols, {35, 35}, true, false});
  }
  int wrong = 0;
  double worst = 0;
  for (const Shape& shape : shapes) {
    for (uint32_t rows : {1, 2, 5, 8, 13, 16, 17, 64, 65, 200, 512}) {
      if (rows == 512 && shape.cols % 4096 != 0) continue;
      const double error = check(bench, shape, rows);
      worst = std::max(worst, error);
      if (error <= 1) continue;
      ++wrong;
      std::printf("WRONG %s %s cols %u part rows %u rows %u: error %.3g limits\n", bench.type().name, shape.name,
                  shape.cols, shape.parts[0], rows, error);
    }
  }
  std::printf("%-5s %zu shapes checked, largest error %.2f of its limit, %d wrong\n", bench.type().name, shapes.size(),
              worst, wrong);
  return wrong;
}

void time_all(Bench& bench, double bandwidth) {
  for (const Shape& shape : kModelShapes) {
    std::printf("%-5s %-8s", bench.type().name, shape.name);
    double single = 0;
    for (uint32_t rows : {1, 2, 4, 8, 16, 64, 512}) {
      size_t bytes = 0, offset = 0, weights = 0;
      for (uint32_t part : shape.parts) {
        bytes += part * bench.row_bytes(shape.cols);
        weights += size_t{part} * shape.cols;
      }
      if (rows == 512 && weights > (size_t{1} << 28)) continue;
      // Enough launches that the weights have left the L2 cache (50 MB) before they come again.
      const int launches = rows == 512 ? 8 : static_cast<int>(std::clamp<size_t>((size_t{1} << 30) / bytes, 4, 48));
      const double microseconds = 1e3 / launches * bench.time([&] {
        for (int i = 0; i < launches; ++i) bench.launch(bench.product(shape, rows, offset));
      });
      if (rows == 1) single = microseconds;
      if (rows == 512) {
        std::printf("  %u: %.0f us %.0f TFLOP/s", rows, microseconds, 2.0 * weights * rows / 1e6 / microseconds);
      } else {
        const double rate = bytes / 1e3 / microseconds;
        std::printf("  %u: %.1f us %.0f GB/s %.0f%%", rows, microseconds, rate, 100 * rate / bandwidth);
        if (rows > 1) std::printf(" x%.1f", rows * single / microseconds);
      }
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

/** All products of the 8B model's pass, in their order, on weights of their own. */
void time_model(Bench& bench, double bandwidth) {
  for (uint32_t rows : {1, 8, 512}) {
    size_t bytes = 0, offset = 0;
    const float milliseconds = bench.time([&] {
      for (int layer = 0; layer < 32; ++layer) {
        for (int i = 0; i < 4; ++i) {
          bench.launch(bench.product(kModelShapes[i], rows, offset));
          for (uint32_t part : kModelShapes[i].parts) bytes += part * bench.row_bytes(kModelShapes[i].cols);
        }
      }
      const Shape& head = kModelShapes[4];
      bench.launch(bench.product(head, std::min(rows, 8u), offset));
      bytes += head.parts[0] * bench.row_bytes(head.cols);
    });
    std::printf("%-5s 8B model's products, %u rows: %.3f ms, %.0f tok/s, %.0f GB/s, %.1f%%\n", bench.type().name, rows,
                milliseconds, rows * 1e3 / milliseconds, bytes / 1e6 / milliseconds,
                100 * bytes / 1e6 / milliseconds / bandwidth);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode != "check" && mode != "time" && mode != "model") {
    std::fprintf(stderr, "product-bench check|time|model [type ...]\n");
    return 2;
  }
  Bench bench;
  bench.use_type(kTypes[0]);
  const double bandwidth = bench.read_bandwidth();
  std::printf("a kernel that only reads: %.0f GB/s\n", bandwidth);
  int wrong = 0;
  for (const TypeInfo& type : kTypes) {
    const auto asked = [&](const char* name) { return std::strcmp(name, type.name) == 0; };
    if (argc > 2 && std::none_of(argv + 2, argv + argc, asked)) continue;
    bench.use_type(type);
    if (mode == "check") wrong += check_all(bench);
    if (mode == "time") time_all(bench, bandwidth);
    if (mode == "model") time_model(bench, bandwidth);
  }
  return wrong == 0 ? 0 : 1;
}
