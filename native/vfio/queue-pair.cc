#include "queue-pair.h"

#include <atomic>
#include <cstring>

#include "round-up.h"

namespace ntx::nvme {

namespace {

/// Queues begin on a page of the controller (at most 64 KiB in use here).
constexpr uint64_t kQueueAlignment = 64 << 10;

}  // namespace

QueuePair::QueuePair(Transport& transport, uint16_t id, uint16_t depth, uint32_t doorbell_stride)
    : transport_(transport),
      id_(id),
      depth_(depth),
      entries_(static_cast<uint16_t>(depth + 1)),
      doorbell_stride_(doorbell_stride),
      completions_at_(round_up(entries_ * sizeof(Command), kQueueAlignment)),
      memory_(transport, completions_at_ + entries_ * sizeof(Completion)),
      slots_(depth) {
  reset();
}

void QueuePair::reset() {
  std::memset(memory_.data(), 0, memory_.bytes());
  submissions_.emplace(reinterpret_cast<Command*>(memory_.data()), entries_);
  completions_.emplace(reinterpret_cast<Completion*>(memory_.data() + completions_at_), entries_);
  slots_ = CommandSlots(depth_);
  rung_tail_ = rung_head_ = 0;
}

void QueuePair::put(const Command& unnumbered, uint16_t id) {
  Command command = unnumbered;
  command.opcode_and_id |= static_cast<uint32_t>(id) << 16;
  submissions_->push(command);
}

void QueuePair::ring() {
  if (completions_->head() != rung_head_) {
    rung_head_ = completions_->head();
    transport_.write32(completion_doorbell(id_, doorbell_stride_), rung_head_);
  }
  if (submissions_->tail() != rung_tail_) {
    rung_tail_ = submissions_->tail();
    std::atomic_thread_fence(std::memory_order_release);  // entries before their doorbell
    transport_.write32(submission_doorbell(id_, doorbell_stride_), rung_tail_);
  }
}

std::optional<Completion> QueuePair::take() {
  while (const std::optional<Completion> completion = completions_->take()) {
    submissions_->consumed_to(completion->submission_head);
    if (slots_.release(completion->id)) return completion;
  }
  return std::nullopt;
}

}  // namespace ntx::nvme
