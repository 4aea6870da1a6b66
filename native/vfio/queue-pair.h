// A submission and a completion queue of the same number, with their doorbells.
#pragma once

#include <optional>

#include "dma-memory.h"
#include "queue.h"
#include "registers.h"

namespace ntx::nvme {

/// Not for several threads at once.
class QueuePair {
 public:
  /// For up to `depth` commands in flight. The controller does not know of it yet.
  QueuePair(Transport& transport, uint16_t id, uint16_t depth, uint32_t doorbell_stride);

  uint16_t id() const { return id_; }
  uint16_t entries() const { return entries_; }
  uint64_t submissions_iova() const { return memory_.iova_at(0); }
  uint64_t completions_iova() const { return memory_.iova_at(completions_at_); }
  bool huge_pages() const { return memory_.huge_pages(); }

  uint16_t free() const { return std::min(slots_.free(), submissions_->room()); }
  uint16_t in_flight() const { return slots_.in_flight(); }
  uint16_t slot_of(uint16_t id) const { return slots_.slot_of(id); }
  uint16_t id_in(uint16_t slot) const { return slots_.id_in(slot); }
  bool is_busy(uint16_t slot) const { return slots_.is_busy(slot); }
  uint16_t next_id() { return slots_.take(); }

  /// Writes the doorbells for what has been put in and taken out since.
  void ring();
  /// The next completion of a command in flight, which is in flight no more; others are dropped.
  std::optional<Completion> take();
  /// Empty, as the controller has it when it creates the queues.
  void reset();

 protected:
  /// The command's identifier field has to be 0.
  void put(const Command& unnumbered, uint16_t id);

 private:
  Transport& transport_;
  uint16_t id_, depth_, entries_;
  uint32_t doorbell_stride_;
  uint64_t completions_at_;  // bytes from the start of the memory
  DmaMemory memory_;
  std::optional<SubmissionRing> submissions_;
  std::optional<CompletionRing> completions_;
  CommandSlots slots_;
  uint16_t rung_tail_ = 0, rung_head_ = 0;
};

class AdminQueue : public QueuePair {
 public:
  using QueuePair::QueuePair;
  void submit(const AdminCommand& command, uint16_t id) { put(command.entry, id); }
};

/// Takes reads and nothing else.
class ReadQueue : public QueuePair {
 public:
  using QueuePair::QueuePair;
  void submit(const ReadCommand& command, uint16_t id) { put(command.entry, id); }
};

}  // namespace ntx::nvme
