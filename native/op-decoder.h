// Checks one binary op list against its memories and resolves it. Everything that comes in is untrusted.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "recorded-op.h"
#include "step-limits.h"

namespace ntx {

/// A memory that the list was recorded over, where the kernels find it.
struct MemoryBytes {
  uint8_t* data;
  uint64_t bytes;
};

class OpDecoder {
 public:
  OpDecoder(std::span<const uint8_t> bytes, std::vector<MemoryBytes> memories);

  /// The ops, without their scratch pointers. Throws std::invalid_argument.
  std::vector<RecordedOp> decode();

  /// After decode(): what the ops ask of the steps.
  const StepLimits& limits() const { return limits_; }

 private:
  RecordedOp decode_op(const OpRecord& record);
  Embed decode(const EmbedOp& op);
  RmsNorm decode(const RmsNormOp& op);
  Matmul decode(const MatmulOp& op);
  GatedMatmul decode(const GatedMatmulOp& op);
  RopeKvWrite decode(const RopeKvWriteOp& op);
  Attention decode(const AttentionOp& op);
  TopK decode(const TopKOp& op);

  [[noreturn]] void refuse(const std::string& why) const;
  void require(bool holds, const char* what) const;
  uint8_t* resolve(uint32_t range, uint64_t bytes, uint64_t alignment, const char* what) const;
  float* floats(uint32_t range, std::initializer_list<uint64_t> shape, const char* what) const;
  float* optional_floats(uint32_t range, std::initializer_list<uint64_t> shape, const char* what) const;
  uint16_t* cache(uint32_t range, uint64_t kv_heads, uint64_t head_dim, const char* what) const;
  Matrix matrix(const WeightRef& weight, const char* what) const;
  bool flag(uint32_t word, const char* what) const;
  void check_heads(uint32_t heads, uint32_t kv_heads, uint32_t head_dim) const;

  std::span<const uint8_t> bytes_;
  const std::vector<MemoryBytes> memories_;
  Header header_{};
  std::vector<Range> ranges_;
  std::string where_;  // "op 12 (attention)"
  StepLimits limits_{};
};

}  // namespace ntx
