// A recorded list: the binary form of native/ops.h, checked and resolved to pointers, ready for any number of passes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../step-limits.h"
#include "kernels/kernels.h"
#include "mapping.h"

namespace ntx {

/// A pass's step buffer, copied and checked.
class CheckedStep {
 public:
  /// `words` is a StepHeader, limits.rows StepRows and limits.outputs StepOutputs. Throws std::invalid_argument.
  CheckedStep(std::span<const uint32_t> words, const StepLimits& limits);
  Step step() const { return {&header_, rows_.data(), outputs_.data()}; }

 private:
  StepHeader header_;
  std::vector<StepRow> rows_;
  std::vector<StepOutput> outputs_;
};

using Memories = std::vector<std::shared_ptr<Mapping>>;

class OpList {
 public:
  /// Checks everything that the kernels rely on; throws std::invalid_argument with the op's index and name, or
  /// OutOfMemory for its scratch. `workers`: of the pool that will run it.
  OpList(std::span<const uint8_t> bytes, Memories memories, unsigned workers);

  const StepLimits& limits() const { return limits_; }
  unsigned workers() const { return workers_; }
  size_t size() const { return ops_.size(); }
  /// Whether a memory of the list has been freed since.
  bool memory_released() const;

  /// One worker's walk through ops `first` up to `end`.
  void run(Worker& worker, const Step& step, size_t first, size_t end) const;

 private:
  Memories memories_;
  unsigned workers_;
  std::unique_ptr<Mapping> scratch_;
  std::vector<RecordedOp> ops_;
  StepLimits limits_{};
};

}  // namespace ntx
