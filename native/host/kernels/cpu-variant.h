// Which instruction set the CPU kernels use.
#pragma once

namespace ntx {

/// Name of the kernels in use: portable, avx2, avx512 or neon.
const char* cpu_variant();

/// Name of the `index`-th set of kernels that this CPU can run, best first; null past the last.
const char* cpu_variant_name(int index);

/// Uses the named kernels from the next op on; false when there are none of that name or the CPU cannot run them. For
/// tests: not to be called while a pass is running.
bool set_cpu_variant(const char* name);

}  // namespace ntx
