#include "cpu-variant.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "matmul-kernels.h"

namespace ntx {

namespace {

using Table = const MatmulKernels* (*)();

// Best first.
constexpr Table kTables[] = {
#if defined(__x86_64__)
    avx512_kernels,
    avx2_kernels,
#elif defined(__aarch64__)
    neon_kernels,
#endif
    [] { return &portable_kernels(); },
};

const MatmulKernels* find(const char* name) {
  for (const Table table : kTables) {
    const MatmulKernels* kernels = table();
    if (kernels && (name == nullptr || std::strcmp(name, kernels->name) == 0)) return kernels;
  }
  return nullptr;
}

// What NTX_CPU names wins when it can run; anything else in it is ignored, as the kernels only differ in speed.
const MatmulKernels* choose() {
  const char* wish = std::getenv("NTX_CPU");
  const MatmulKernels* wished = wish ? find(wish) : nullptr;
  return wished ? wished : find(nullptr);
}

std::atomic<const MatmulKernels*>& current() {
  static std::atomic<const MatmulKernels*> table{choose()};
  return table;
}

}  // namespace

const MatmulKernels& matmul_kernels() { return *current().load(std::memory_order_relaxed); }

const char* cpu_variant() { return matmul_kernels().name; }

const char* cpu_variant_name(int index) {
  for (const Table table : kTables) {
    const MatmulKernels* kernels = table();
    if (kernels && index-- == 0) return kernels->name;
  }
  return nullptr;
}

bool set_cpu_variant(const char* name) {
  const MatmulKernels* kernels = name ? find(name) : nullptr;
  if (kernels) current().store(kernels, std::memory_order_relaxed);
  return kernels != nullptr;
}

}  // namespace ntx
