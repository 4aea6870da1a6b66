// The input of a matrix product in the forms that the kernels read: f32 as it is, and rounded to int8 once per op into
// the op's scratch. Weights in blocks of 32 take one scale for every 32 values, K-quants one for every 256, so that
// their integer sub-block scales can be applied before anything becomes a float.
//
// One record per row:
//   form 32:  codes int8[cols] | scale f32[cols / 32] | sum f32[cols / 32]
//   form 256: codes int8[cols] | scale f32[cols / 256] | sum16 int16[cols / 16] | sum32 int16[cols / 32]
//             | sum f32[cols / 32] | fine_sum f32[cols / 16]
// `sum` and `fine_sum` are scale * (sum of codes) over 32 and 16 values, sum16 and sum32 the bare integers;
// within a block of 256, sum16 holds the eight even sixteens, then the eight odd ones, as the kernels order their
// scales.
//
// Internal linkage throughout, as in quant-formats.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ntx {
namespace {

constexpr size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Byte offsets inside a form-32 record.
struct Form32 {
  size_t scale, sum, stride;
  explicit constexpr Form32(int64_t cols)
      : scale(round_up(static_cast<size_t>(cols), 64)),
        sum(scale + static_cast<size_t>(cols) / 32 * 4),
        // The odd cache line keeps the rows of a power of two of columns out of each other's cache sets.
        stride(round_up(sum + static_cast<size_t>(cols) / 32 * 4, 128) + 64) {}
};

/// Byte offsets inside a form-256 record.
struct Form256 {
  size_t scale, sum16, sum32, sum, fine_sum, stride;
  explicit constexpr Form256(int64_t cols)
      : scale(static_cast<size_t>(cols)),
        sum16(round_up(scale + static_cast<size_t>(cols) / 256 * 4, 64)),
        sum32(sum16 + static_cast<size_t>(cols) / 8),
        sum(sum32 + static_cast<size_t>(cols) / 16),
        fine_sum(sum + static_cast<size_t>(cols) / 8),
        stride(round_up(fine_sum + static_cast<size_t>(cols) / 4, 128) + 64) {}
};

}  // namespace

/// All rows of one product's input. The records of a form that no weight of the op needs are not filled.
struct Activations {
  const float* values;  // [rows][cols]
  int64_t rows, cols;
  uint8_t *form32, *form256;  // first records
};

}  // namespace ntx
