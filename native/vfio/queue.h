// Rings of commands and completions (NVM Express Base Specification 2.0, section 3.3.1), without the registers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "command.h"

namespace ntx::nvme {

/// Where commands are put. One entry always stays empty: head == tail means that the ring is empty (3.3.1.5).
class SubmissionRing {
 public:
  SubmissionRing(Command* entries, uint16_t size) : entries_(entries), size_(size) {}

  /// Commands that still fit.
  uint16_t room() const { return static_cast<uint16_t>((head_ + size_ - tail_ - 1) % size_); }
  /// Not when room() is 0.
  void push(const Command& command);
  /// A completion says up to where the controller has taken commands.
  void consumed_to(uint16_t head) { head_ = static_cast<uint16_t>(head % size_); }
  /// What to write to the doorbell.
  uint16_t tail() const { return tail_; }

 private:
  Command* entries_;
  uint16_t size_, head_ = 0, tail_ = 0;
};

/// Where completions appear. An entry is new when its phase is the one that this turn around the ring has (3.3.3.2.2).
class CompletionRing {
 public:
  /// The entries are zero.
  CompletionRing(Completion* entries, uint16_t size) : entries_(entries), size_(size) {}

  /// The next completion, if there is one.
  std::optional<Completion> take();
  /// What to write to the doorbell.
  uint16_t head() const { return head_; }

 private:
  Completion* entries_;
  uint16_t size_, head_ = 0;
  uint16_t phase_ = 1;
};

/// Numbers of commands in flight. A number is a slot below `count` with a use count above it, so that a completion that
/// comes twice, or after its command was given up, is told from the one that is awaited.
class CommandSlots {
 public:
  explicit CommandSlots(uint16_t count);

  uint16_t free() const { return static_cast<uint16_t>(free_.size()); }
  uint16_t in_flight() const { return static_cast<uint16_t>(ids_.size() - free_.size()); }
  /// The command's number; its slot is slot_of(number). Not when free() is 0.
  uint16_t take();
  uint16_t slot_of(uint16_t id) const { return id & kSlotMask; }
  /// False for a number that is not in flight.
  bool release(uint16_t id);
  uint16_t id_in(uint16_t slot) const { return ids_[slot]; }
  bool is_busy(uint16_t slot) const { return busy_[slot]; }

  static constexpr uint16_t kMaxSlots = 1024;

 private:
  static constexpr uint16_t kSlotMask = kMaxSlots - 1;
  std::vector<uint16_t> free_;
  std::vector<uint16_t> ids_;  // of every slot: the number that it has now, or had last
  std::vector<bool> busy_;
};

}  // namespace ntx::nvme
