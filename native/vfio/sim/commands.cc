// What the simulated controller does with commands. PRP lists are walked here as section 4.1.1 describes them, without
// the driver's code that builds them.
#include <algorithm>
#include <cstring>

#include "drive.h"

namespace ntx::nvme {

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kNever = ~uint64_t{0};
constexpr Status kSuccess{};
constexpr Status kInvalidOpcode{0, 0x01, true};
constexpr Status kInvalidField{0, 0x02, true};
constexpr Status kInvalidNamespace{0, 0x0b, true};
constexpr Status kInvalidPrpOffset{0, 0x13, true};
constexpr Status kOutOfRange{0, 0x80, true};
constexpr Status kAborted{0, 0x07, false};
constexpr Status kInvalidQueue{1, 0x01, true};

void put_text(uint8_t* target, size_t bytes, const std::string& text) {
  std::memset(target, ' ', bytes);
  std::memcpy(target, text.data(), std::min(bytes, text.size()));
}

uint16_t id_of(const Command& command) { return static_cast<uint16_t>(command.opcode_and_id >> 16); }

}  // namespace

uint8_t* SimDrive::memory_at(uint64_t iova, uint64_t bytes) {
  auto after = mappings_.upper_bound(iova);
  if (after != mappings_.begin()) {
    const auto& [first, mapping] = *std::prev(after);
    if (iova - first <= mapping.bytes && bytes <= mapping.bytes - (iova - first))
      return mapping.address + (iova - first);
  }
  dma_faults_++;
  return nullptr;
}

template <class Value>
Value SimDrive::load(uint64_t iova) {
  Value value{};
  if (const uint8_t* source = memory_at(iova, sizeof(Value))) {
    std::memcpy(static_cast<void*>(&value), source, sizeof(Value));
  }
  return value;
}

template Command SimDrive::load<Command>(uint64_t iova);

void SimDrive::admin(const Command& command) {
  uint32_t result = 0;
  const Status status = run_admin(command, result);
  answer(0, id_of(command), status, result);
}

Status SimDrive::run_admin(const Command& command, uint32_t& result) {
  const auto queue = static_cast<uint16_t>(command.dword10);
  switch (command.opcode_and_id & 0xff) {
    case 0x00:
      return submissions_.erase(queue) == 1 ? kSuccess : kInvalidQueue;
    case 0x01:
      return create_queue(command, false);
    case 0x04:
      return completions_.erase(queue) == 1 ? kSuccess : kInvalidQueue;
    case 0x05:
      return create_queue(command, true);
    case 0x06:
      return identify(command);
    case 0x08:
      result = abort(queue, static_cast<uint16_t>(command.dword10 >> 16)) ? 0 : 1;
      return kSuccess;
    case 0x09: {
      if (command.dword10 != 7) return kInvalidField;
      const uint32_t granted = std::min<uint32_t>(command.dword11 & 0xffff, knobs_.queues - 1u);
      result = granted | granted << 16;
      return kSuccess;
    }
    default:
      return kInvalidOpcode;
  }
}

Status SimDrive::identify(const Command& command) {
  uint8_t* page = memory_at(command.prp1, kPage);
  if (page == nullptr) return kSuccess;  // as QEMU has it
  std::memset(page, 0, kPage);
  if (command.dword10 == 1) {
    put_text(page + 4, 20, knobs_.serial);
    put_text(page + 24, 40, "ntx simulated drive");
    put_text(page + 64, 8, "1.0");
    page[77] = knobs_.mdts;
    page[516] = 1;
    return kSuccess;
  }
  if (command.namespace_id != 1) return kInvalidNamespace;
  const uint64_t blocks = knobs_.bytes / knobs_.block_bytes;
  std::memcpy(page, &blocks, sizeof(blocks));
  page[128 + 2] = static_cast<uint8_t>(std::countr_zero(knobs_.block_bytes));
  return kSuccess;
}

Status SimDrive::create_queue(const Command& command, bool completions) {
  const auto id = static_cast<uint16_t>(command.dword10);
  const uint32_t entries = (command.dword10 >> 16) + 1;
  if (id == 0 || id > knobs_.queues || entries > knobs_.max_entries || command.prp1 % kPage != 0) return kInvalidQueue;
  if (completions) {
    const int vector = command.dword11 & 2 ? static_cast<int>(command.dword11 >> 16) : -1;
    completions_[id] = {command.prp1, entries, 0, 0, 0, vector};
    return kSuccess;
  }
  const auto target = static_cast<uint16_t>(command.dword11 >> 16);
  if (!completions_.contains(target)) return kInvalidQueue;
  submissions_[id] = {command.prp1, entries, 0, 0, target};
  return kSuccess;
}

bool SimDrive::abort(uint16_t queue, uint16_t id) {
  const auto found = std::find_if(due_.begin(), due_.end(), [&](const Due& due) {
    return due.queue == queue && due.id == id && due.stalled && due.abortable;
  });
  if (found == due_.end()) return false;
  due_.erase(found);
  answer(queue, id, kAborted, 0);
  return true;
}

const SimFault* SimDrive::fault_of(uint64_t command) const {
  const auto hits = [&](const SimFault& fault) {
    return command >= fault.command && command - fault.command < fault.times;
  };
  const auto found = std::find_if(knobs_.faults.begin(), knobs_.faults.end(), hits);
  return found == knobs_.faults.end() ? nullptr : &*found;
}

void SimDrive::read(uint16_t queue, const Command& command) {
  Due due{clock(), queue, id_of(command), kSuccess, command};
  if (const SimFault* fault = fault_of(reads_++)) {
    switch (fault->kind) {
      case SimFault::Kind::kStatus:
        due.status = {fault->type, fault->code, fault->do_not_retry};
        break;
      case SimFault::Kind::kStall:
        due.at = fault->nanoseconds == 0 ? kNever : due.at + fault->nanoseconds;
        due.stalled = true;
        due.abortable = fault->abortable;
        due_.push_back(due);
        return;
      case SimFault::Kind::kFatal:
        status_ |= kFatal;
        return;
      case SimFault::Kind::kGone:
        gone_ = true;
        return;
    }
  }
  const uint64_t bytes = ((command.dword12 & 0xffff) + uint64_t{1}) * knobs_.block_bytes;
  due.at += knobs_.latency_ns;
  if (knobs_.bytes_per_second > 0) {
    const uint64_t ns = bytes * 1'000'000'000 / knobs_.bytes_per_second;
    link_free_ns_ = due.at = std::max(link_free_ns_, due.at) + ns;
    busy_ns_ += ns;
  }
  if (knobs_.jitter_ns > 0) due.at += random_() % knobs_.jitter_ns;
  due_.push_back(due);
}

Status SimDrive::transfer(const Command& command) {
  if ((command.opcode_and_id & 0xff) != 0x02) return kInvalidOpcode;
  if (command.namespace_id != 1) return kInvalidNamespace;
  const uint64_t block = command.dword10 | static_cast<uint64_t>(command.dword11) << 32;
  const uint64_t blocks = (command.dword12 & 0xffff) + uint64_t{1};
  const uint64_t bytes = blocks * knobs_.block_bytes;
  if (block + blocks > knobs_.bytes / knobs_.block_bytes) return kOutOfRange;
  if (knobs_.mdts != 0 && bytes > kPage << knobs_.mdts) return kInvalidField;
  std::vector<uint8_t> content(bytes);
  const uint64_t offset = block * knobs_.block_bytes;
  if (offset < knobs_.data.size()) {
    std::memcpy(content.data(), knobs_.data.data() + offset, std::min<uint64_t>(bytes, knobs_.data.size() - offset));
  }
  return scatter(command, content);
}

/// Every page's part to where its entry says.
Status SimDrive::scatter(const Command& command, const std::vector<uint8_t>& bytes) {
  if (command.prp1 % 4 != 0) return kInvalidPrpOffset;
  uint64_t done = std::min<uint64_t>(bytes.size(), kPage - command.prp1 % kPage);
  const auto write = [&](uint64_t iova, uint64_t from, uint64_t count) {
    if (uint8_t* target = memory_at(iova, count)) std::memcpy(target, bytes.data() + from, count);
  };
  write(command.prp1, 0, done);
  if (done == bytes.size()) return kSuccess;
  if (bytes.size() - done <= kPage) {
    if (command.prp2 % kPage != 0) return kInvalidPrpOffset;
    write(command.prp2, done, bytes.size() - done);
    return kSuccess;
  }
  uint64_t entry_at = command.prp2;
  while (done < bytes.size()) {
    const uint64_t left = bytes.size() - done;
    const auto entry = load<uint64_t>(entry_at);
    if (entry % kPage != 0) return kInvalidPrpOffset;
    const bool last_of_page = entry_at % kPage == kPage - sizeof(uint64_t);
    if (last_of_page && left > kPage) {
      entry_at = entry;
      continue;
    }
    write(entry, done, std::min(left, kPage));
    done += std::min(left, kPage);
    entry_at += sizeof(uint64_t);
  }
  return kSuccess;
}

}  // namespace ntx::nvme
