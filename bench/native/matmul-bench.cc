// Are the CPU backend's matrix products right, and how near to the memory's speed? build-matmul-bench.sh builds it.
//
//   check              every type, shape and set of kernels against a sum of doubles; 1 thread against 2
//   decode [type...]   one activation row, matrices that together exceed the caches, in % of a plain read
//   cached [type...]   the same out of the cache on one thread: what the kernels alone could do
//   prompt [type...]   2 to 512 activation rows, multiply-adds a second
//
// NTX_CPU picks the kernels, NTX_THREADS the workers (2); decode and prompt with one worker count processor time.
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../../native/host/kernels/cpu-variant.h"
#include "../../native/host/kernels/kernels.h"

using namespace ntx;

namespace {

struct Named { const char* name; Type type; };
constexpr Named kTypes[] = {
    {"F32", Type::f32},   {"F16", Type::f16},   {"BF16", Type::bf16}, {"Q4_0", Type::q4_0}, {"Q4_1", Type::q4_1},
    {"Q5_0", Type::q5_0}, {"Q5_1", Type::q5_1}, {"Q8_0", Type::q8_0}, {"Q2_K", Type::q2_k}, {"Q3_K", Type::q3_k},
    {"Q4_K", Type::q4_k}, {"Q5_K", Type::q5_k}, {"Q6_K", Type::q6_k},
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Processor seconds: with one thread, a busy machine does not disturb them.
double processor_now() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

uint8_t* allocate(size_t bytes) {
  const size_t huge = size_t{2} << 20;
  const size_t size = (bytes + huge - 1) / huge * huge + huge;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  madvise(memory, size, MADV_HUGEPAGE);
  return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + huge - 1) / huge * huge);
}

size_t row_bytes(Type type, int64_t cols) {
  const BlockSize block = block_size(type);
  return static_cast<size_t>(cols / block.weights) * block.bytes;
}

uint16_t to_half(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | (((bits >> 23 & 255) - 112) << 10) | (bits >> 13 & 1023));
}

/// Random codes and scales of any bit pattern; the f16 or f32 factors are kept to ordinary sizes of both signs.
void fill_weights(Type type, uint8_t* data, size_t bytes, std::mt19937& random) {
  const BlockSize block = block_size(type);
  std::uniform_real_distribution<float> size(0.001f, 0.02f);
  const auto factor = [&] { return random() & 1 ? size(random) : -size(random); };
  for (size_t i = 0; i < bytes; i += 4) {
    const uint32_t word = random();
    std::memcpy(data + i, &word, std::min<size_t>(4, bytes - i));
  }
  std::vector<uint32_t> halves;
  switch (type) {
    case Type::q4_0: case Type::q5_0: case Type::q8_0: halves = {0}; break;
    case Type::q4_1: case Type::q5_1: case Type::q4_k: case Type::q5_k: halves = {0, 2}; break;
    case Type::q2_k: halves = {80, 82}; break;
    case Type::q3_k: halves = {108}; break;
    case Type::q6_k: halves = {208}; break;
    default: break;
  }
  for (size_t at = 0; at + block.bytes <= bytes; at += block.bytes) {
    const float value = factor();
    if (type == Type::f32) std::memcpy(data + at, &value, 4);
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t whole = type == Type::f16 ? to_half(value) : static_cast<uint16_t>(bits >> 16);
    if (type == Type::f16 || type == Type::bf16) std::memcpy(data + at, &whole, 2);
    for (const uint32_t offset : halves) {
      const uint16_t half = to_half(factor());
      std::memcpy(data + at + offset, &half, 2);
    }
  }
}

struct Case {
  Type type;
  int64_t rows, cols, inputs;
};

struct Operands {
  std::vector<uint8_t> weights[3];
  std::vector<float> in, bias;
  explicit Operands(const Case& c, std::mt19937& random) {
    std::normal_distribution<float> normal;
    in.resize(static_cast<size_t>(c.inputs * c.cols));
    for (float& x : in) x = normal(random) * (random() % 64 == 0 ? 8.f : 1.f);
    bias.resize(static_cast<size_t>(c.rows));
    for (float& x : bias) x = normal(random);
    for (auto& w : weights) {
      w.resize(row_bytes(c.type, c.cols) * static_cast<size_t>(c.rows));
      fill_weights(c.type, w.data(), w.size(), random);
    }
  }
};

/// Activations as the kernels round them, which is what their results are compared with: exact but for summation.
std::vector<float> rounded_inputs(const Case& c, const std::vector<float>& in) {
  const BlockSize block = block_size(c.type);
  if (block.weights == 1) return in;
  std::vector<float> rounded(in.size());
  for (size_t at = 0; at < in.size(); at += block.weights) {
    float largest = 0;
    for (uint32_t i = 0; i < block.weights; ++i) largest = std::max(largest, std::fabs(in[at + i]));
    const float scale = largest / 127, inverse = scale > 0 ? 1 / scale : 0;
    for (uint32_t i = 0; i < block.weights; ++i) {
      rounded[at + i] = scale * std::nearbyint(std::clamp(in[at + i] * inverse, -127.f, 127.f));
    }
  }
  return rounded;
}

struct Errors {
  double summing = 0;    // against the rounded activations, relative to the sum of magnitudes
  double rounding2 = 0;  // against the exact activations: squared error over squared norms
  double norm2 = 0;
};

std::vector<float> run_matmul(const Case& c, const Operands& o, unsigned threads, bool accumulate, bool gated) {
  Pool pool(threads);
  uint8_t* scratch =
      static_cast<uint8_t*>(std::aligned_alloc(64, (matmul_scratch_bytes(c.cols, c.inputs, threads) + 63) / 64 * 64));
  const StepHeader header{static_cast<uint32_t>(c.inputs), static_cast<uint32_t>(c.inputs), 0, 0};
  const Step step{&header, nullptr, nullptr};
  const auto matrix = [&](int i, int64_t rows) { return Matrix{c.type, rows, c.cols, o.weights[i].data()}; };
  const size_t size = static_cast<size_t>(c.inputs * c.rows);
  std::vector<float> out(gated ? size : 3 * size, 0.5f);
  if (gated) {
    const GatedMatmul op{o.in.data(), matrix(0, c.rows), matrix(1, c.rows), out.data(), scratch};
    pool.run([&](Worker& worker) { gated_matmul(worker, op, step); });
  } else {
    Matmul op{o.in.data(), 3, {}, accumulate, false, scratch};
    for (int i = 0; i < 3; ++i) op.part[i] = {matrix(i, c.rows), i ? o.bias.data() : nullptr, out.data() + i * size};
    pool.run([&](Worker& worker) { matmul(worker, op, step); });
  }
  std::free(scratch);
  return out;
}

std::vector<double> exact_products(const Case& c, const std::vector<uint8_t>& weights, const std::vector<float>& in,
                                   std::vector<double>& magnitudes) {
  std::vector<float> decoded(static_cast<size_t>(c.cols));
  std::vector<double> out(static_cast<size_t>(c.inputs * c.rows));
  magnitudes.resize(out.size());
  for (int64_t n = 0; n < c.rows; ++n) {
    decode_row(c.type, weights.data() + static_cast<size_t>(n) * row_bytes(c.type, c.cols), c.cols, decoded.data());
    for (int64_t m = 0; m < c.inputs; ++m) {
      double sum = 0, magnitude = 0;
      for (int64_t k = 0; k < c.cols; ++k) {
        const double product = static_cast<double>(decoded[k]) * in[m * c.cols + k];
        sum += product;
        magnitude += std::fabs(product);
      }
      out[m * c.rows + n] = sum;
      magnitudes[m * c.rows + n] = magnitude;
    }
  }
  return out;
}

Errors check_case(const Case& c, std::mt19937& random, bool accumulate) {
  const Operands o(c, random);
  const std::vector<float> out = run_matmul(c, o, 1, accumulate, false), gated = run_matmul(c, o, 1, false, true);
  if (std::memcmp(out.data(), run_matmul(c, o, 2, accumulate, false).data(), out.size() * 4) != 0 ||
      std::memcmp(gated.data(), run_matmul(c, o, 2, false, true).data(), gated.size() * 4) != 0) {
    std::printf("FAIL: 1 and 2 threads differ\n");
    std::exit(1);
  }
  const std::vector<float> rounded = rounded_inputs(c, o.in);
  const size_t size = static_cast<size_t>(c.inputs * c.rows);
  Errors errors;
  std::vector<double> want[2], magnitudes[2];
  for (int i = 0; i < 3; ++i) {
    std::vector<double> unused;
    const std::vector<double> exact = exact_products(c, o.weights[i], o.in, unused);
    std::vector<double> scale;
    const std::vector<double> near = exact_products(c, o.weights[i], rounded, scale);
    for (size_t j = 0; j < size; ++j) {
      const double bias = i ? o.bias[j % static_cast<size_t>(c.rows)] : 0, before = accumulate ? 0.5 : 0;
      const double got = out[i * size + j] - bias - before;
      // Not a number must not pass for a small error.
      const double error = std::fabs(got - near[j]) / (scale[j] + std::fabs(bias) + before + 1e-30);
      errors.summing = std::isfinite(error) ? std::max(errors.summing, error) : 1e9;
      if (!accumulate && i == 0) {  // nothing but the product
        errors.rounding2 += (got - exact[j]) * (got - exact[j]);
        errors.norm2 += exact[j] * exact[j];
      }
    }
    if (i < 2) want[i] = near, magnitudes[i] = scale;
  }
  for (size_t j = 0; j < size; ++j) {
    const double g = want[0][j], silu = g / (1 + std::exp(-g));
    const double error = std::fabs(gated[j] - silu * want[1][j]) /
                         (std::fabs(want[1][j]) * magnitudes[0][j] + (std::fabs(silu) + 1) * magnitudes[1][j] + 1e-30);
    errors.summing = std::isfinite(error) ? std::max(errors.summing, error) : 1e9;
  }
  return errors;
}

int check() {
  int failures = 0;
  for (int v = 0; const char* variant = cpu_variant_name(v); ++v) {
    set_cpu_variant(variant);
    for (const Named& type : kTypes) {
      std::mt19937 random(7);
      Errors worst;
      int cases = 0;
      const int64_t block = block_size(type.type).weights;
      std::vector<int64_t> widths = {block, 3 * block, 5 * block};
      if (block < 256) widths.insert(widths.end(), {256, 1024 + 96});
      if (block == 1) widths.insert(widths.end(), {7, 37, 515});
      if (block == 256) widths.push_back(2048 + 256);
      for (const int64_t rows : {1, 3, 5, 17, 67}) {
        for (const int64_t cols : widths) {
          for (const int64_t inputs : {1, 2, 3, 7, 8, 16, 33, 521}) {
            if (inputs > 100 && (cols > 800 || rows == 67)) continue;
            const Errors e = check_case({type.type, rows, cols, inputs}, random, cases++ % 2 == 1);
            worst.summing = std::max(worst.summing, e.summing);
            worst.rounding2 += e.rounding2;
            worst.norm2 += e.norm2;
          }
        }
      }
      const bool good = worst.summing < 2e-6;
      failures += !good;
      std::printf("%-8s %-5s %d cases: summing error %.1e, rounding of activations %.2e  %s\n", variant, type.name,
                  cases, worst.summing, std::sqrt(worst.rounding2 / worst.norm2), good ? "ok" : "FAIL");
    }
  }
  return failures != 0;
}

/// With one thread, processor time.
double (*clock_for(const Pool& pool))() { return pool.threads() == 1 ? processor_now : now; }

unsigned thread_count() {
  const char* text = std::getenv("NTX_THREADS");
  return text ? static_cast<unsigned>(std::atoi(text)) : 2;
}

/// Bytes a second of a plain read by all workers, each in two streams.
double read_speed(Pool& pool, const uint8_t* data, size_t bytes) {
  volatile uint64_t sink = 0;
  const auto clock = clock_for(pool);
  const double start = clock();
  pool.run([&](Worker& worker) {
    typedef uint64_t Lanes __attribute__((vector_size(16)));
    const size_t share = bytes / worker.count() / 4096 * 4096;
    const uint8_t* p = data + share * worker.index();
    Lanes sum[4] = {};
    for (size_t i = 0; i < share; i += 64) {
      for (int j = 0; j < 4; ++j) sum[j] += *reinterpret_cast<const Lanes*>(p + i + 16 * j);
    }
    sum[0] += sum[1] + sum[2] + sum[3];
    sink = sink + sum[0][0] + sum[0][1];
  });
  return static_cast<double>(bytes) / (clock() - start);
}

bool wanted(int argc, char** argv, const char* name) {
  if (argc <= 2) return true;
  return std::any_of(argv + 2, argv + argc, [&](const char* a) { return std::strcmp(a, name) == 0; });
}

void time_decode(int argc, char** argv) {
  Pool pool(thread_count());
  const auto clock = clock_for(pool);
  const size_t arena_bytes = size_t{2304} << 20;
  uint8_t* arena = allocate(arena_bytes);
  std::mt19937 random(3);
  struct Shape { int64_t rows, cols; };
  for (const Named& type : kTypes) {
    if (!wanted(argc, argv, type.name)) continue;
    const size_t pattern = row_bytes(type.type, 8192) * 16;
    fill_weights(type.type, arena, pattern, random);
    const size_t used = arena_bytes / pattern * pattern;
    for (size_t at = pattern; at < used; at += pattern) std::memcpy(arena + at, arena, pattern);
    for (const Shape shape : {Shape{2048, 2048}, Shape{8192, 2048}, Shape{2048, 8192}, Shape{128256, 2048}}) {
      const size_t bytes = row_bytes(type.type, shape.cols) * static_cast<size_t>(shape.rows);
      const size_t matrices = std::min<size_t>(used / bytes, 2000);
      std::vector<float> in(static_cast<size_t>(shape.cols), 0.37f), out(static_cast<size_t>(shape.rows));
      uint8_t* scratch = allocate(matmul_scratch_bytes(shape.cols, 1, pool.threads()));
      const StepHeader header{1, 1, 0, 0};
      const Step step{&header, nullptr, nullptr};
      // The best of several, for the machine may be busy with other things; reading and multiplying take turns.
      double speed = 0, read = 0;
      for (int repeat = 0; repeat < 7; ++repeat) {
        read = std::max(read, read_speed(pool, arena, used));
        const double start = clock();
        pool.run([&](Worker& worker) {
          for (size_t i = 0; i < matrices; ++i) {
            Matmul op{in.data(), 1, {}, false, false, scratch};
            op.part[0] = {{type.type, shape.rows, shape.cols, arena + i * bytes}, nullptr, out.data()};
            matmul(worker, op, step);
            worker.sync();
          }
        });
        speed = std::max(speed, static_cast<double>(bytes * matrices) / (clock() - start));
      }
      std::printf("%-7s %-5s %6lld x %4lld: %5.1f GB/s of %5.1f, %5.1f %%\n", cpu_variant(), type.name,
                  static_cast<long long>(shape.rows), static_cast<long long>(shape.cols), speed / 1e9, read / 1e9,
                  100 * speed / read);
      std::fflush(stdout);
    }
  }
}

void time_cached(int argc, char** argv) {
  Pool pool(1);
  std::mt19937 random(3);
  for (const Named& type : kTypes) {
    if (!wanted(argc, argv, type.name)) continue;
    const int64_t rows = 256, cols = 2048;
    const size_t bytes = row_bytes(type.type, cols) * static_cast<size_t>(rows);
    uint8_t* weights = allocate(bytes);
    fill_weights(type.type, weights, bytes, random);
    std::vector<float> in(static_cast<size_t>(cols), 0.37f), out(static_cast<size_t>(rows));
    uint8_t* scratch = allocate(matmul_scratch_bytes(cols, 1, 1));
    const StepHeader header{1, 1, 0, 0};
    const Step step{&header, nullptr, nullptr};
    Matmul op{in.data(), 1, {}, false, false, scratch};
    op.part[0] = {{type.type, rows, cols, weights}, nullptr, out.data()};
    double best = 1e30;
    for (int repeat = 0; repeat < 20; ++repeat) {
      const double start = processor_now();
      pool.run([&](Worker& worker) {
        for (int i = 0; i < 20; ++i) matmul(worker, op, step), worker.sync();
      });
      best = std::min(best, (processor_now() - start) / 20);
    }
    std::printf("%-7s %-5s %5.1f GB/s, %5.2f G weights/s\n", cpu_variant(), type.name,
                static_cast<double>(bytes) / best / 1e9, static_cast<double>(rows * cols) / best / 1e9);
    std::fflush(stdout);
  }
}

void time_prompt(int argc, char** argv) {
  Pool pool(thread_count());
  const auto clock = clock_for(pool);
  std::mt19937 random(3);
  for (const Named& type : kTypes) {
    if (!wanted(argc, argv, type.name)) continue;
    for (const int64_t inputs : {2, 4, 8, 32, 512}) {
      const int64_t rows = 2048, cols = 2048;
      const size_t bytes = row_bytes(type.type, cols) * static_cast<size_t>(rows);
      uint8_t* weights = allocate(bytes);
      fill_weights(type.type, weights, bytes, random);
      std::vector<float> in(static_cast<size_t>(cols * inputs), 0.37f), out(static_cast<size_t>(rows * inputs));
      uint8_t* scratch = allocate(matmul_scratch_bytes(cols, inputs, pool.threads()));
      const StepHeader header{static_cast<uint32_t>(inputs), 1, 0, 0};
      const Step step{&header, nullptr, nullptr};
      Matmul op{in.data(), 1, {}, false, false, scratch};
      op.part[0] = {{type.type, rows, cols, weights}, nullptr, out.data()};
      double best = 1e30;
      for (int repeat = 0; repeat < 5; ++repeat) {
        const double start = clock();
        pool.run([&](Worker& worker) { matmul(worker, op, step); });
        best = std::min(best, clock() - start);
      }
      std::printf("%-7s %-5s %4lld rows: %6.1f G multiply-adds/s\n", cpu_variant(), type.name,
                  static_cast<long long>(inputs), static_cast<double>(rows * cols * inputs) / best / 1e9);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "check") return check();
  if (mode == "decode") return time_decode(argc, argv), 0;
  if (mode == "cached") return time_cached(argc, argv), 0;
  if (mode == "prompt") return time_prompt(argc, argv), 0;
  std::fprintf(stderr, "usage: matmul-bench check | decode [type...] | cached [type...] | prompt [type...]\n");
  return 2;
}
