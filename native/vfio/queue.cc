#include "queue.h"

#include <atomic>

namespace ntx::nvme {

void SubmissionRing::push(const Command& command) {
  entries_[tail_] = command;
  tail_ = static_cast<uint16_t>((tail_ + 1) % size_);
}

std::optional<Completion> CompletionRing::take() {
  Completion* entry = entries_ + head_;
  // One load of the half that has the phase, and only then the other.
  const uint64_t half = std::atomic_ref(reinterpret_cast<uint64_t*>(entry)[1]).load(std::memory_order_acquire);
  if ((half >> 48 & 1) != phase_) return std::nullopt;
  Completion taken;
  taken.result = entry->result;
  taken.submission_head = static_cast<uint16_t>(half);
  taken.submission_queue = static_cast<uint16_t>(half >> 16);
  taken.id = static_cast<uint16_t>(half >> 32);
  taken.status_and_phase = static_cast<uint16_t>(half >> 48);
  head_ = static_cast<uint16_t>((head_ + 1) % size_);
  if (head_ == 0) phase_ ^= 1;
  return taken;
}

CommandSlots::CommandSlots(uint16_t count) : ids_(count), busy_(count) {
  for (uint16_t slot = count; slot-- > 0;) {
    free_.push_back(slot);
    ids_[slot] = slot;
  }
}

uint16_t CommandSlots::take() {
  const uint16_t slot = free_.back();
  free_.pop_back();
  busy_[slot] = true;
  // The 6 bits above the slot count its uses. FFFFh is no command's number (Abort reserves it), hence the skip.
  do {
    ids_[slot] = static_cast<uint16_t>(ids_[slot] + kMaxSlots);
  } while (ids_[slot] == 0xffff);
  return ids_[slot];
}

bool CommandSlots::release(uint16_t id) {
  const uint16_t slot = slot_of(id);
  if (slot >= ids_.size() || !busy_[slot] || ids_[slot] != id) return false;
  busy_[slot] = false;
  free_.push_back(slot);
  return true;
}

}  // namespace ntx::nvme
