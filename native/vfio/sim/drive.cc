#include "drive.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <thread>

namespace ntx::nvme {

namespace {

constexpr uint64_t kPage = 4096, kPart = 2 << 20;
constexpr uint64_t kNever = ~uint64_t{0};
/// Sleeps are cut to this, so that threads that wait see what others have put in.
constexpr uint64_t kSliceNs = 500'000;
/// A look in vain of a driver that polls, in virtual time.
constexpr uint64_t kLookNs = 100;
/// As behind VT-d: the window of interrupts is missing.
const std::vector<IovaRange> kUsable{{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}};

}  // namespace

SimDrive::SimDrive(SimKnobs knobs) : knobs_(std::move(knobs)), space_(kUsable) {}

uint64_t SimDrive::clock() const {
  if (knobs_.virtual_clock) return virtual_ns_;
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

uint64_t SimDrive::now() {
  const std::scoped_lock lock(mutex_);
  return clock();
}

uint32_t SimDrive::read32(uint32_t offset) {
  const std::scoped_lock lock(mutex_);
  if (gone_) return kGone;
  switch (offset) {
    case kCapabilities:  // MQES, CQR, TO 500 ms
      return (knobs_.max_entries - 1u) | 1u << 16 | 1u << 24;
    case kCapabilities + 4:  // DSTRD, CSS: NVM; MPSMIN 4 KiB, MPSMAX 64 KiB
      return knobs_.doorbell_shift | 1u << 5 | 4u << 20;
    case kVersion:
      return 0x00010400;
    case kConfiguration:
      return configuration_;
    case kStatus:
      return status_;
    case kAdminAttributes:
      return attributes_;
    default:
      return 0;
  }
}

void SimDrive::write32(uint32_t offset, uint32_t value) {
  const std::scoped_lock lock(mutex_);
  if (gone_) return;
  if (offset == kConfiguration) return configure(value);
  if (offset == kAdminAttributes) {
    attributes_ = value;
  } else if (offset >= kAdminSubmissions && offset < kAdminCompletions + 8) {
    admin_addresses_[(offset - kAdminSubmissions) / 4] = value;
  } else if (offset >= kDoorbells) {
    doorbell(offset - kDoorbells, value);
  }
}

void SimDrive::configure(uint32_t value) {
  const bool enable = (value & kEnable) != 0, enabled = (configuration_ & kEnable) != 0;
  configuration_ = value;
  if (enabled && !enable) reset();
  if (!enabled && enable && !knobs_.never_ready) {
    const auto address = [&](size_t i) {
      return admin_addresses_[i] | static_cast<uint64_t>(admin_addresses_[i + 1]) << 32;
    };
    submissions_[0] = {address(0), (attributes_ & 0xfff) + 1};
    completions_[0] = {address(2), (attributes_ >> 16 & 0xfff) + 1};
    status_ = kReady;
  }
  if (value & kShutdownMask) status_ = (status_ & ~kShutdownState) | kShutdownComplete;
}

void SimDrive::reset() {
  submissions_.clear();
  completions_.clear();
  due_.clear();
  status_ = 0;
}

void SimDrive::doorbell(uint32_t offset, uint32_t value) {
  const uint32_t number = offset / (4u << knobs_.doorbell_shift);
  const auto id = static_cast<uint16_t>(number / 2);
  if (number % 2 == 1) {
    completions_[id].head = value;
    return;
  }
  if (!submissions_.contains(id)) return;
  submissions_[id].tail = value % submissions_[id].entries;
  fetch(id);
}

void SimDrive::fetch(uint16_t id) {
  Queue& queue = submissions_[id];
  while (queue.head != queue.tail && !(status_ & kFatal) && !gone_) {
    const Command command = load<Command>(queue.iova + queue.head * sizeof(Command));
    queue.head = (queue.head + 1) % queue.entries;
    opcodes_.insert(static_cast<uint16_t>((command.opcode_and_id & 0xff) | (id == 0 ? 0 : 0x100)));
    if (id == 0) {
      admin(command);
    } else {
      virtual_ns_ += knobs_.cpu_ns;
      read(id, command);
    }
  }
}

void SimDrive::answer(uint16_t id, uint16_t command, const Status& status, uint32_t result) {
  const Queue& submissions = submissions_[id];
  Queue& queue = completions_[submissions.completion_queue];
  Completion completion;
  completion.result = result;
  completion.submission_head = static_cast<uint16_t>(submissions.head);
  completion.submission_queue = id;
  completion.id = command;
  completion.status_and_phase =
      static_cast<uint16_t>(queue.phase | status.code << 1 | status.type << 9 | (status.do_not_retry ? 0x8000 : 0));
  uint8_t* entry = memory_at(queue.iova + queue.tail * sizeof(Completion), sizeof(Completion));
  if (entry == nullptr) return;
  // The phase last, as a controller's write of the whole entry appears.
  const auto words = std::bit_cast<std::array<uint64_t, 2>>(completion);
  auto* target = reinterpret_cast<uint64_t*>(entry);
  target[0] = words[0];
  std::atomic_ref(target[1]).store(words[1], std::memory_order_release);
  queue.tail = (queue.tail + 1) % queue.entries;
  if (queue.tail == 0) queue.phase ^= 1;
  if (queue.vector >= 0) raised_.insert(static_cast<unsigned>(queue.vector));
}

void SimDrive::process(uint64_t limit) {
  if (gone_ || (status_ & kFatal)) return;
  const auto soonest = [](const Due& a, const Due& b) { return a.at < b.at; };
  if (knobs_.virtual_clock && !due_.empty()) {
    const uint64_t next = std::min_element(due_.begin(), due_.end(), soonest)->at;
    virtual_ns_ = std::max(virtual_ns_, std::min(next, limit));
  }
  const uint64_t now = clock();
  for (;;) {
    const auto next = std::min_element(due_.begin(), due_.end(), soonest);
    if (next == due_.end() || next->at > now) return;
    const Due due = *next;
    due_.erase(next);
    answer(due.queue, due.id, due.status.ok() ? transfer(due.command) : due.status, 0);
  }
}

void SimDrive::relax() {
  {
    const std::scoped_lock lock(mutex_);
    if (knobs_.virtual_clock) virtual_ns_ += kLookNs;
    process(clock());
  }
  if (!knobs_.virtual_clock) std::this_thread::yield();
}

void SimDrive::wait(unsigned vector, int wake, uint64_t nanoseconds) {
  std::unique_lock lock(mutex_);
  const uint64_t end = nanoseconds > kNever - clock() ? kNever : clock() + nanoseconds;
  for (;;) {
    process(end);
    if (raised_.erase(vector) > 0 || clock() >= end || gone_) break;
    if (knobs_.virtual_clock) {
      virtual_ns_ = end;
      continue;
    }
    lock.unlock();
    const timespec slice{0, static_cast<long>(std::min(kSliceNs, nanoseconds))};
    pollfd descriptor{wake, POLLIN, 0};
    const bool woken = ppoll(&descriptor, 1, &slice, nullptr) > 0;
    lock.lock();
    if (woken) break;
  }
  lock.unlock();
  uint64_t count;
  [[maybe_unused]] const ssize_t bytes = ::read(wake, &count, sizeof(count));
}

void SimDrive::cut_off() {
  const std::scoped_lock lock(mutex_);
  reset();
  gone_ = true;
}

DmaReach SimDrive::reach() const { return knobs_.no_iommu ? DmaReach{kPart, false, true} : DmaReach{}; }

uint64_t SimDrive::map(void* address, uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (reinterpret_cast<uintptr_t>(address) % kPage != 0 || bytes % kPage != 0) {
    throw std::runtime_error("only whole pages can be mapped");
  }
  if (knobs_.lock_limit != 0 && mapped_bytes_ + bytes > knobs_.lock_limit) {
    throw std::runtime_error("locking " + std::to_string(bytes) + " bytes failed: the limit is " +
                             std::to_string(knobs_.lock_limit));
  }
  const uint64_t gap = knobs_.no_iommu ? kPart : 0;
  const uint64_t iova = space_.take(gap + bytes, knobs_.no_iommu ? kPart : kPage) + gap;
  mappings_[iova] = {static_cast<uint8_t*>(address), bytes, gap};
  mapped_bytes_ += bytes;
  return iova;
}

void SimDrive::unmap(uint64_t iova) {
  const std::scoped_lock lock(mutex_);
  const auto mapping = mappings_.find(iova);
  if (mapping == mappings_.end()) return;
  space_.give_back(iova - mapping->second.gap, mapping->second.gap + mapping->second.bytes);
  mapped_bytes_ -= mapping->second.bytes;
  mappings_.erase(mapping);
}

}  // namespace ntx::nvme
