// What a list asks of the step buffers that it is replayed with.
#pragma once

#include <cstdint>
#include <span>

#include "ops.h"

namespace ntx {

struct StepLimits {
  uint32_t rows, outputs, slots, context;
  uint32_t tokens = kNone;   // rows of the smallest embedding table
  uint32_t targets = kNone;  // width of the narrowest top-k
};

/// The parts of a step buffer, which stay where they are.
struct StepParts {
  const StepHeader& header;
  std::span<const StepRow> rows;        // header.rows
  std::span<const StepOutput> outputs;  // header.outputs
};

/// Throws std::invalid_argument unless `words` is a StepHeader, limits.rows StepRows and limits.outputs StepOutputs, all
/// within the limits.
StepParts check_step(std::span<const uint32_t> words, const StepLimits& limits);

}  // namespace ntx
