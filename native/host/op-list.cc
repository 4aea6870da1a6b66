#include "op-list.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "op-decoder.h"

namespace ntx {

namespace {

[[noreturn]] void refuse(const char* what, size_t index, const char* field, uint32_t value, uint64_t limit) {
  throw std::invalid_argument(std::string("step buffer: ") + what + " " + std::to_string(index) + " has " + field +
                              " " + std::to_string(value) + ", expected less than " + std::to_string(limit));
}

void set_scratch(RecordedOp& op, uint8_t* scratch) {
  switch (op.kind) {
    case OpKind::matmul: op.matmul.scratch = scratch; return;
    case OpKind::gated_matmul: op.gated_matmul.scratch = scratch; return;
    case OpKind::attention: op.attention.scratch = scratch; return;
    case OpKind::top_k: op.top_k.scratch = scratch; return;
    case OpKind::embed:
    case OpKind::rms_norm:
    case OpKind::rope_kv_write: return;
  }
}

void run_op(Worker& worker, const RecordedOp& op, const Step& step) {
  switch (op.kind) {
    case OpKind::embed: return embed(worker, op.embed, step);
    case OpKind::rms_norm: return rms_norm(worker, op.rms_norm, step);
    case OpKind::matmul: return matmul(worker, op.matmul, step);
    case OpKind::gated_matmul: return gated_matmul(worker, op.gated_matmul, step);
    case OpKind::rope_kv_write: return rope_kv_write(worker, op.rope_kv_write, step);
    case OpKind::attention: return attention(worker, op.attention, step);
    case OpKind::top_k: return top_k(worker, op.top_k, step);
  }
}

}  // namespace

CheckedStep::CheckedStep(std::span<const uint32_t> words, const StepLimits& limits) {
  constexpr size_t kHeader = sizeof(StepHeader) / 4, kRow = sizeof(StepRow) / 4, kOutput = sizeof(StepOutput) / 4;
  if (words.size() != kHeader + size_t{limits.rows} * kRow + size_t{limits.outputs} * kOutput) {
    throw std::invalid_argument("step buffer: " + std::to_string(words.size()) + " words do not match " +
                                std::to_string(limits.rows) + " rows and " + std::to_string(limits.outputs) +
                                " outputs");
  }
  header_ = {words[0], words[1], 0, 0};
  if (header_.rows > limits.rows) refuse("header", 0, "rows", header_.rows, uint64_t{limits.rows} + 1);
  if (header_.outputs > limits.outputs) refuse("header", 0, "outputs", header_.outputs, uint64_t{limits.outputs} + 1);
  const auto* row = reinterpret_cast<const StepRow*>(words.data() + kHeader);
  const auto* output = reinterpret_cast<const StepOutput*>(words.data() + kHeader + size_t{limits.rows} * kRow);
  rows_.assign(row, row + header_.rows);
  outputs_.assign(output, output + header_.outputs);
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].token >= limits.tokens) refuse("row", i, "token", rows_[i].token, limits.tokens);
    if (rows_[i].position >= limits.context) refuse("row", i, "position", rows_[i].position, limits.context);
    if (rows_[i].slot >= limits.slots) refuse("row", i, "slot", rows_[i].slot, limits.slots);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const StepOutput& wanted = outputs_[i];
    if (wanted.row >= header_.rows) refuse("output", i, "row", wanted.row, header_.rows);
    if (wanted.target != kNone && wanted.target >= limits.targets) {
      refuse("output", i, "target", wanted.target, limits.targets);
    }
  }
}

OpList::OpList(std::span<const uint8_t> bytes, Memories memories, unsigned workers)
    : memories_(std::move(memories)), workers_(workers) {
  OpDecoder decoder(bytes, memories_, workers);
  ops_ = decoder.decode();
  limits_ = decoder.limits();
  scratch_ = std::make_unique<Mapping>(decoder.scratch_bytes());
  for (RecordedOp& op : ops_) set_scratch(op, scratch_->data());
}

bool OpList::memory_released() const {
  return std::any_of(memories_.begin(), memories_.end(), [](const auto& memory) { return memory->released(); });
}

void OpList::run(Worker& worker, const Step& step) const {
  for (const RecordedOp& op : ops_) {
    run_op(worker, op, step);
    worker.sync();
  }
}

}  // namespace ntx
