#include "controller.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace ntx::nvme {

namespace {

constexpr uint16_t kAdminDepth = 16;
constexpr uint64_t kMillisecond = 1'000'000;
/// What a shutdown may take where the controller names no time of its own (RTD3E, which few do).
constexpr uint64_t kShutdownNs = 5'000 * kMillisecond;
/// CAP.TO of controllers that say 0.
constexpr uint32_t kLeastTimeoutMs = 500;

template <class Value>
Value field(const uint8_t* data, size_t offset) {
  Value value;
  std::memcpy(&value, data + offset, sizeof(value));
  return value;
}

/// ASCII padded with blanks (5.17.2.1).
std::string text(const uint8_t* data, size_t offset, size_t bytes) {
  const std::string raw(reinterpret_cast<const char*>(data + offset), bytes);
  const size_t end = raw.find_last_not_of(std::string(" \0", 2));
  const size_t begin = raw.find_first_not_of(' ');
  return end == std::string::npos || begin == std::string::npos ? "" : raw.substr(begin, end + 1 - begin);
}

uint64_t capabilities_of(Transport& transport) {
  const uint64_t value = transport.read64(kCapabilities);
  if (value == ~uint64_t{0}) throw DriveLost("the drive does not answer: its registers read as all ones");
  return value;
}

}  // namespace

Controller::Controller(Transport& transport, const DriveOptions& options)
    : transport_(transport), options_(options), capabilities_(capabilities_of(transport)) {
  if (!capabilities_.nvm_commands)
    throw std::runtime_error("the controller has no NVM command set: it holds no blocks to read");
  info_.version = transport_.read32(kVersion);
  info_.page = capabilities_.min_page;
  options_.depth = static_cast<uint16_t>(std::clamp<uint32_t>(
      options_.depth, 1, std::min<uint32_t>(capabilities_.max_entries - 1, CommandSlots::kMaxSlots)));
  options_.queues = std::max<uint16_t>(options_.queues, 1);
  admin_ = std::make_unique<AdminQueue>(transport_, 0, kAdminDepth, capabilities_.doorbell_stride);
  page_ = std::make_unique<DmaMemory>(transport_, info_.page);
}

// Memory-based controller initialization, 3.5.1. Its first step, PCI registers and bus mastering, is the transport's.
void Controller::start() {
  disable();        // step 2
  enable();         // steps 3 to 7
  identify();       // steps 8 and 9
  create_queues();  // steps 10 to 12
}

void Controller::restart() {
  disable();
  enable();
  create_queues();
}

// Step 2: a controller that somebody has used before is disabled first (3.7.2: controller reset).
void Controller::disable() {
  const uint32_t configuration = transport_.read32(kConfiguration);
  // One that is still coming up has to arrive before it may be disabled (3.1.3.5, EN).
  if (configuration & kEnable) {
    if (!(status() & (kReady | kFatal)))
      wait_for("become ready before it is reset", [](uint32_t value) { return (value & (kReady | kFatal)) != 0; });
    transport_.write32(kConfiguration, configuration & ~(kEnable | kShutdownMask));
  }
  wait_for("stop (CSTS.RDY did not become 0)", [](uint32_t value) { return (value & kReady) == 0; });
}

void Controller::enable() {
  admin_->reset();
  // Step 3: the admin queues.
  const uint32_t entries = admin_->entries() - 1u;
  transport_.write32(kAdminAttributes, entries | entries << 16);
  transport_.write64(kAdminSubmissions, admin_->submissions_iova());
  transport_.write64(kAdminCompletions, admin_->completions_iova());
  // Steps 4 to 6: NVM command set (CSS 0), round robin (AMS 0), the smallest page, entry sizes; then EN.
  const auto page_shift = static_cast<uint32_t>(std::countr_zero(info_.page)) - 12;
  transport_.write32(kConfiguration, kEntrySizes | page_shift << 7 | kEnable);
  // Step 7.
  wait_for("become ready (CSTS.RDY did not become 1)", [](uint32_t value) { return (value & kReady) != 0; });
}

void Controller::identify() {
  // Step 8: the controller (5.17.2.1).
  run("Identify Controller", identify_controller(page_->iova_at(0)));
  const uint8_t* data = page_->data();
  info_.vendor = field<uint16_t>(data, 0);
  info_.serial = text(data, 4, 20);
  info_.model = text(data, 24, 40);
  info_.firmware = text(data, 64, 8);
  const uint8_t mdts = data[77];
  // Shifts beyond any real value would overflow; such a limit is none for us.
  info_.transfer_limit = mdts == 0 || mdts > 30 ? 0 : capabilities_.min_page << mdts;
  const uint32_t namespaces = field<uint32_t>(data, 516);
  if (options_.namespace_id == 0 || options_.namespace_id > namespaces) {
    throw std::runtime_error("the drive has " + std::to_string(namespaces) + " namespaces; number " +
                             std::to_string(options_.namespace_id) + " is none of them");
  }
  // Step 9: the namespace (NVM Command Set Specification 1.0, 4.1.5.1).
  run("Identify Namespace", identify_namespace(options_.namespace_id, page_->iova_at(0)));
  check_namespace(page_->data());
}

void Controller::check_namespace(const uint8_t* data) {
  info_.blocks = field<uint64_t>(data, 0);
  if (info_.blocks == 0) {
    throw std::runtime_error("namespace " + std::to_string(options_.namespace_id) + " is not active: it has no blocks");
  }
  const uint32_t format = (data[26] & 0xfu) | (data[26] >> 5 & 3u) << 4;
  const uint32_t layout = field<uint32_t>(data, 128 + format * 4);
  const uint32_t metadata_bytes = layout & 0xffff, shift = layout >> 16 & 0xff;
  if (metadata_bytes != 0) {
    throw std::runtime_error("the namespace carries " + std::to_string(metadata_bytes) +
                             " bytes of metadata a block, which this driver does not read");
  }
  if (shift < 9 || shift > 16) {
    throw std::runtime_error("the namespace has blocks of 2^" + std::to_string(shift) +
                             " bytes; 512 to 64 KiB were expected");
  }
  info_.block_bytes = 1u << shift;
  uint64_t bytes = options_.command_bytes;
  if (info_.transfer_limit != 0) bytes = std::min(bytes, info_.transfer_limit);
  bytes = std::min<uint64_t>(bytes, uint64_t{65536} << shift);  // NLB has 16 bits
  info_.command_bytes = static_cast<uint32_t>(std::max<uint64_t>(bytes >> shift << shift, info_.block_bytes));
}

void Controller::create_queues() {
  // Step 10: what is granted may be less than what is asked for (5.27.1.5).
  const uint32_t granted = run("Set Features, Number of Queues", request_queues(options_.queues));
  const uint32_t allowed = std::min(granted & 0xffff, granted >> 16) + 1;
  if (queues_.empty()) {
    const auto count = static_cast<uint16_t>(std::min<uint32_t>(options_.queues, allowed));
    if (completion_doorbell(count, capabilities_.doorbell_stride) + 4u > transport_.register_bytes()) {
      throw std::runtime_error("the doorbells of " + std::to_string(count) + " queues lie beyond the registers");
    }
    for (uint16_t id = 1; id <= count; ++id) {
      queues_.push_back(std::make_unique<ReadQueue>(transport_, id, options_.depth, capabilities_.doorbell_stride));
    }
  } else if (allowed < queues_.size()) {
    throw std::runtime_error("after a reset the controller grants " + std::to_string(allowed) + " queues, before it " +
                             std::to_string(queues_.size()));
  }
  // Vector 0 is the admin queue's, which is polled.
  info_.interrupts = options_.interrupts && transport_.vectors() > queues_.size();
  for (const std::unique_ptr<ReadQueue>& queue : queues_) {
    queue->reset();
    const int vector = info_.interrupts ? queue->id() : -1;
    // Step 11, then step 12: completions first, since a submission queue names where its completions go.
    run("Create I/O Completion Queue",
        create_completion_queue(queue->id(), queue->completions_iova(), queue->entries(), vector));
    run("Create I/O Submission Queue",
        create_submission_queue(queue->id(), queue->submissions_iova(), queue->entries()));
  }
  info_.queues = static_cast<uint16_t>(queues_.size());
  info_.depth = options_.depth;
  info_.huge_pages = queues_.front()->huge_pages();
}

// Memory-based controller shutdown, 3.6.1: the I/O queues go first, then CC.SHN and CSTS.SHST.
void Controller::shut_down() noexcept {
  try {
    if (!(status() & kReady)) return;
    for (const std::unique_ptr<ReadQueue>& queue : queues_) {
      run("Delete I/O Submission Queue", delete_submission_queue(queue->id()));
      run("Delete I/O Completion Queue", delete_completion_queue(queue->id()));
    }
    const uint32_t configuration = transport_.read32(kConfiguration) & ~kShutdownMask;
    transport_.write32(kConfiguration, configuration | kNormalShutdown);
    const uint64_t end = transport_.now() + kShutdownNs;
    while ((status() & kShutdownState) != kShutdownComplete && transport_.now() < end) transport_.relax();
    disable();
  } catch (const std::exception&) {
    // Whatever is left of it: what follows unmaps memory and closes the device, which resets it.
    transport_.cut_off();
  }
}

uint32_t Controller::status() {
  const uint32_t value = transport_.read32(kStatus);
  if (value == kGone) throw DriveLost("the drive does not answer: its registers read as all ones");
  return value;
}

bool Controller::has_failed() {
  const uint32_t value = status();
  return (value & kFatal) != 0 || (value & kReady) == 0;
}

void Controller::wait_for(const char* what, const std::function<bool(uint32_t)>& reached) {
  const uint64_t ms = std::max(capabilities_.timeout_ms, kLeastTimeoutMs);
  const uint64_t end = transport_.now() + ms * kMillisecond;
  while (!reached(status())) {
    if (transport_.now() > end) {
      throw std::runtime_error("the controller did not " + std::string(what) + " within its " + std::to_string(ms) +
                               " ms");
    }
    transport_.relax();
  }
}

/// One admin command at a time; returns dword 0 of its completion.
uint32_t Controller::run(const char* what, const AdminCommand& command) {
  const std::scoped_lock lock(admin_mutex_);
  const uint16_t id = admin_->next_id();
  admin_->submit(command, id);
  admin_->ring();
  const uint64_t end = transport_.now() + options_.timeout_ns;
  for (;;) {
    if (const std::optional<Completion> completion = admin_->take()) {
      admin_->ring();
      if (completion->id != id) continue;  // of a command that was waited for too long before
      if (!completion->status().ok()) throw CommandRefused(what, completion->status());
      return completion->result;
    }
    if (transport_.now() > end) {
      status();  // gone is another error than slow
      throw std::runtime_error(std::string(what) + ": the controller did not answer in time");
    }
    transport_.relax();
  }
}

bool Controller::abort(uint16_t queue, uint16_t command_id) {
  return (run("Abort", abort_command(queue, command_id)) & 1) == 0;
}

}  // namespace ntx::nvme
