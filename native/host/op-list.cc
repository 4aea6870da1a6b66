#include "op-list.h"

#include <algorithm>
#include <utility>

#include "../op-decoder.h"

namespace ntx {

namespace {

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

size_t scratch_bytes(const RecordedOp& op, const StepLimits& limits, unsigned workers) {
  switch (op.kind) {
    case OpKind::matmul: {
      const uint32_t rows = op.matmul.outputs ? std::max(1u, limits.outputs) : limits.rows;
      return matmul_scratch_bytes(op.matmul.part[0].weight.cols, rows, workers);
    }
    case OpKind::gated_matmul: return matmul_scratch_bytes(op.gated_matmul.gate.cols, limits.rows, workers);
    case OpKind::attention:
      return attention_scratch_bytes(op.attention.heads, op.attention.head_dim, limits.context, limits.rows, workers);
    case OpKind::top_k: return top_k_scratch_bytes(op.top_k.width, op.top_k.k, workers);
    case OpKind::embed:
    case OpKind::rms_norm:
    case OpKind::rope_kv_write: return 0;
  }
  return 0;
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
  const StepParts parts = check_step(words, limits);
  header_ = {parts.header.rows, parts.header.outputs, 0, 0};
  rows_.assign(parts.rows.begin(), parts.rows.end());
  outputs_.assign(parts.outputs.begin(), parts.outputs.end());
}

OpList::OpList(std::span<const uint8_t> bytes, Memories memories, unsigned workers)
    : memories_(std::move(memories)), workers_(workers) {
  std::vector<MemoryBytes> ranges;
  for (const auto& memory : memories_) ranges.push_back({memory->data(), memory->bytes()});
  OpDecoder decoder(bytes, std::move(ranges));
  ops_ = decoder.decode();
  limits_ = decoder.limits();
  size_t scratch = 0;
  for (const RecordedOp& op : ops_) scratch = std::max(scratch, scratch_bytes(op, limits_, workers));
  scratch_ = std::make_unique<Mapping>(scratch);
  for (RecordedOp& op : ops_) set_scratch(op, scratch_->data());
}

bool OpList::memory_released() const {
  return std::any_of(memories_.begin(), memories_.end(), [](const auto& memory) { return memory->released(); });
}

void OpList::run(Worker& worker, const Step& step, size_t first, size_t end) const {
  for (size_t i = first; i < end; ++i) {
    run_op(worker, ops_[i], step);
    worker.sync();
  }
}

}  // namespace ntx
