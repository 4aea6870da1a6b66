// Queue entries and the commands that this driver knows. It can only read: no opcode that changes what a drive holds,
// its firmware or its format has a name here, and what an I/O queue takes is a ReadCommand alone. That matters, since
// the same number means another command on another queue: 08h is Abort for the admin queue and Write Zeroes for an I/O
// queue. Sections of the NVM Express Base Specification 2.0.
#pragma once

#include <cstdint>

namespace ntx::nvme {

/// Common command format, 3.3.3.1.
struct alignas(64) Command {
  uint32_t opcode_and_id = 0;  // opcode 7:0, command identifier 31:16; PRPs are used where PSDT (15:14) is 0
  uint32_t namespace_id = 0;
  uint32_t reserved[2] = {};
  uint64_t metadata = 0;
  uint64_t prp1 = 0, prp2 = 0;
  uint32_t dword10 = 0, dword11 = 0, dword12 = 0, dword13 = 0, dword14 = 0, dword15 = 0;
};
static_assert(sizeof(Command) == 64);

/// What a controller says of a command, 3.3.3.2.1.
struct Status {
  uint8_t type = 0, code = 0;
  bool do_not_retry = false;
  bool ok() const { return type == 0 && code == 0; }
};

/// Common completion queue entry, 3.3.3.2.
struct alignas(16) Completion {
  uint32_t result = 0;
  uint32_t reserved = 0;
  uint16_t submission_head = 0, submission_queue = 0;
  uint16_t id = 0;
  uint16_t status_and_phase = 0;  // phase 0, code 8:1, type 11:9, do not retry 15

  Status status() const {
    return {static_cast<uint8_t>(status_and_phase >> 9 & 7), static_cast<uint8_t>(status_and_phase >> 1 & 0xff),
            (status_and_phase & 0x8000) != 0};
  }
};
static_assert(sizeof(Completion) == 16);

struct AdminCommand {
  Command entry;
};

struct ReadCommand {
  Command entry;
};

/// Identify, 5.17, into one page at `iova`.
AdminCommand identify_controller(uint64_t iova);
AdminCommand identify_namespace(uint32_t namespace_id, uint64_t iova);

/// Set Features, Number of Queues, 5.27.1.5: asks for `queues` I/O queue pairs.
AdminCommand request_queues(uint16_t queues);

/// Create I/O Completion Queue, 5.4; `vector`: the MSI-X vector that it raises, or -1.
AdminCommand create_completion_queue(uint16_t id, uint64_t iova, uint16_t entries, int vector);

/// Create I/O Submission Queue, 5.5, whose completions go to the completion queue of the same number.
AdminCommand create_submission_queue(uint16_t id, uint64_t iova, uint16_t entries);

/// Delete I/O Submission Queue, 5.7, and I/O Completion Queue, 5.6.
AdminCommand delete_submission_queue(uint16_t id);
AdminCommand delete_completion_queue(uint16_t id);

/// Abort, 5.1.
AdminCommand abort_command(uint16_t queue, uint16_t command_id);

/// Read (NVM Command Set Specification 1.0, 3.2.4) of `blocks` logical blocks, 1 to 65536.
ReadCommand read_blocks(uint32_t namespace_id, uint64_t first, uint32_t blocks, uint64_t prp1, uint64_t prp2);

}  // namespace ntx::nvme
