// A controller made of software: registers, queues and commands as the specification has them, with knobs for time and
// faults. It has no thread of its own: what is due happens while the driver waits or looks.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "../command.h"
#include "../iova.h"
#include "../registers.h"
#include "../transport.h"

namespace ntx::nvme {

/// What a drive does wrong, from its read number `command` (from 0) on, for `times` reads.
struct SimFault {
  enum class Kind {
    kStatus,  // answers with type and code
    kStall,   // does not answer before an abort (where `abortable`), a reset, or `nanoseconds` (where not 0)
    kFatal,   // sets CSTS.CFS and stops
    kGone,    // answers nothing any more: registers read as all ones
  };
  Kind kind = Kind::kStatus;
  uint64_t command = 0;
  uint64_t times = 1;
  uint8_t type = 0, code = 0;
  bool do_not_retry = false;
  bool abortable = true;
  uint64_t nanoseconds = 0;
};

struct SimKnobs {
  std::string serial = "sim0";
  uint64_t bytes = 64 << 20;
  uint32_t block_bytes = 512;
  uint8_t mdts = 8;  // 2^mdts pages
  uint16_t max_entries = 1024;
  uint16_t queues = 8;
  uint8_t doorbell_shift = 0;  // CAP.DSTRD
  bool interrupts = true;
  bool never_ready = false;
  bool removal_requested = false;
  /// As without an IOMMU: the drive reaches the driver's own memory alone, in parts of 2 MiB that lie apart.
  bool no_iommu = false;
  /// Bytes that may be mapped for DMA at once, as RLIMIT_MEMLOCK limits them; 0: any.
  uint64_t lock_limit = 0;

  uint64_t latency_ns = 0;
  /// More latency, evenly spread: completions come out of order.
  uint64_t jitter_ns = 0;
  /// Of all commands together; 0: no limit.
  uint64_t bytes_per_second = 0;
  /// Time goes on when the driver waits or does something, never by itself.
  bool virtual_clock = false;
  /// Virtual time that the driver takes to put in one command.
  uint64_t cpu_ns = 0;

  std::vector<SimFault> faults;
  /// The first bytes of the drive; the rest are zeros.
  std::vector<uint8_t> data;
};

class SimDrive : public Transport {
 public:
  explicit SimDrive(SimKnobs knobs);

  uint64_t register_bytes() const override { return uint64_t{1} << 32; }
  uint32_t read32(uint32_t offset) override;
  void write32(uint32_t offset, uint32_t value) override;
  DmaReach reach() const override;
  uint64_t map(void* address, uint64_t bytes) override;
  void unmap(uint64_t iova) override;
  unsigned vectors() const override { return knobs_.interrupts ? 32 : 0; }
  void wait(unsigned vector, int wake, uint64_t nanoseconds) override;
  void relax() override;
  uint64_t now() override;
  bool removal_requested() const override { return knobs_.removal_requested; }
  void cut_off() override;
  std::string name() const override { return "a simulated drive"; }

  /// Writes to addresses that were not mapped, which an IOMMU would have stopped.
  uint64_t dma_faults() const { return dma_faults_; }
  /// Of all commands since it was made: those of the admin queue, and 100h + those of I/O queues.
  std::set<uint16_t> opcodes() {
    const std::scoped_lock lock(mutex_);
    return opcodes_;
  }
  uint64_t mapped_bytes() const { return mapped_bytes_; }
  /// Nanoseconds that data took at bytes_per_second.
  uint64_t busy_ns() const { return busy_ns_; }

 private:
  struct Queue {
    uint64_t iova = 0;
    uint32_t entries = 0;
    uint32_t head = 0, tail = 0;
    uint16_t completion_queue = 0;  // of a submission queue
    int vector = -1;                // of a completion queue
    uint16_t phase = 1;
  };
  /// An answer on its way.
  struct Due {
    uint64_t at = 0;
    uint16_t queue = 0, id = 0;
    Status status;
    Command command;
    bool stalled = false, abortable = false;
  };

  void configure(uint32_t value);
  void reset();
  void doorbell(uint32_t offset, uint32_t value);
  void fetch(uint16_t queue);
  void admin(const Command& command);
  Status run_admin(const Command& command, uint32_t& result);
  Status identify(const Command& command);
  Status create_queue(const Command& command, bool completions);
  bool abort(uint16_t queue, uint16_t id);
  void read(uint16_t queue, const Command& command);
  const SimFault* fault_of(uint64_t command) const;
  Status transfer(const Command& command);
  Status scatter(const Command& command, const std::vector<uint8_t>& bytes);
  void answer(uint16_t queue, uint16_t id, const Status& status, uint32_t result);
  uint64_t clock() const;
  /// Gives every answer that is due; with a virtual clock goes on to the next one when none is.
  void process(uint64_t limit);
  uint8_t* memory_at(uint64_t iova, uint64_t bytes);
  template <class Value>
  Value load(uint64_t iova);

  SimKnobs knobs_;
  std::mutex mutex_;
  std::mt19937_64 random_{1};
  uint64_t virtual_ns_ = 0, link_free_ns_ = 0, busy_ns_ = 0;
  uint64_t reads_ = 0, dma_faults_ = 0, mapped_bytes_ = 0;
  uint32_t configuration_ = 0, status_ = 0, attributes_ = 0;
  std::array<uint32_t, 4> admin_addresses_{};  // ASQ, ACQ in halves
  bool gone_ = false;
  std::map<uint16_t, Queue> submissions_, completions_;
  std::deque<Due> due_;
  std::set<unsigned> raised_;
  std::set<uint16_t> opcodes_;
  IovaSpace space_;
  struct Mapping {
    uint8_t* address;
    uint64_t bytes, gap;  // in front of it
  };
  std::map<uint64_t, Mapping> mappings_;
};

}  // namespace ntx::nvme
