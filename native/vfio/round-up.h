#pragma once

#include <cstdint>

namespace ntx::nvme {

constexpr uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace ntx::nvme
