// Facts of the machine that the CPU backend needs.
#pragma once

#include <cstdint>
#include <string>

namespace ntx {

/// The processor's name as the operating system gives it.
std::string cpu_name();

/// Cores that this process may use: one per physical core, within its affinity mask and its cgroup's quota. At least 1.
unsigned available_cores();

/// Bytes of RAM that this process could ever hold: the machine's, or its cgroup's limit where that is lower.
uint64_t memory_limit();

}  // namespace ntx
