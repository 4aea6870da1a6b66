#include "step-limits.h"

#include <stdexcept>
#include <string>

namespace ntx {

namespace {

[[noreturn]] void refuse(const char* what, size_t index, const char* field, uint32_t value, uint64_t limit) {
  throw std::invalid_argument(std::string("step buffer: ") + what + " " + std::to_string(index) + " has " + field +
                              " " + std::to_string(value) + ", expected less than " + std::to_string(limit));
}

}  // namespace

StepParts check_step(std::span<const uint32_t> words, const StepLimits& limits) {
  constexpr size_t kHeader = sizeof(StepHeader) / 4, kRow = sizeof(StepRow) / 4, kOutput = sizeof(StepOutput) / 4;
  if (words.size() != kHeader + size_t{limits.rows} * kRow + size_t{limits.outputs} * kOutput) {
    throw std::invalid_argument("step buffer: " + std::to_string(words.size()) + " words do not match " +
                                std::to_string(limits.rows) + " rows and " + std::to_string(limits.outputs) +
                                " outputs");
  }
  const auto& header = *reinterpret_cast<const StepHeader*>(words.data());
  if (header.rows > limits.rows) refuse("header", 0, "rows", header.rows, uint64_t{limits.rows} + 1);
  if (header.outputs > limits.outputs) refuse("header", 0, "outputs", header.outputs, uint64_t{limits.outputs} + 1);
  const std::span rows(reinterpret_cast<const StepRow*>(words.data() + kHeader), header.rows);
  const std::span outputs(reinterpret_cast<const StepOutput*>(words.data() + kHeader + size_t{limits.rows} * kRow),
                          header.outputs);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].token >= limits.tokens) refuse("row", i, "token", rows[i].token, limits.tokens);
    if (rows[i].position >= limits.context) refuse("row", i, "position", rows[i].position, limits.context);
    if (rows[i].slot >= limits.slots) refuse("row", i, "slot", rows[i].slot, limits.slots);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const StepOutput& wanted = outputs[i];
    if (wanted.row >= header.rows) refuse("output", i, "row", wanted.row, header.rows);
    if (wanted.target != kNone && wanted.target >= limits.targets) {
      refuse("output", i, "target", wanted.target, limits.targets);
    }
  }
  return {header, rows, outputs};
}

}  // namespace ntx
