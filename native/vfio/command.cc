#include "command.h"

namespace ntx::nvme {

namespace {

/// Admin commands, section 5, figure "Opcodes for Admin Commands".
enum class AdminOpcode : uint8_t {
  kDeleteSubmissionQueue = 0x00,
  kCreateSubmissionQueue = 0x01,
  kDeleteCompletionQueue = 0x04,
  kCreateCompletionQueue = 0x05,
  kIdentify = 0x06,
  kAbort = 0x08,
  kSetFeatures = 0x09,
};

/// NVM commands: this one.
enum class IoOpcode : uint8_t {
  kRead = 0x02,
};

constexpr uint32_t kNumberOfQueues = 0x07;
constexpr uint32_t kPhysicallyContiguous = 1;
constexpr uint32_t kInterruptsEnabled = 2;

AdminCommand admin(AdminOpcode opcode) {
  AdminCommand command;
  command.entry.opcode_and_id = static_cast<uint32_t>(opcode);
  return command;
}

/// Queue sizes are written as one less than they are.
uint32_t id_and_size(uint16_t id, uint16_t entries) { return id | (static_cast<uint32_t>(entries) - 1) << 16; }

AdminCommand identify(uint32_t namespace_id, uint32_t structure, uint64_t iova) {
  AdminCommand command = admin(AdminOpcode::kIdentify);
  command.entry.namespace_id = namespace_id;
  command.entry.prp1 = iova;
  command.entry.dword10 = structure;
  return command;
}

AdminCommand delete_queue(AdminOpcode opcode, uint16_t id) {
  AdminCommand command = admin(opcode);
  command.entry.dword10 = id;
  return command;
}

}  // namespace

AdminCommand identify_controller(uint64_t iova) { return identify(0, 1, iova); }

AdminCommand identify_namespace(uint32_t namespace_id, uint64_t iova) { return identify(namespace_id, 0, iova); }

AdminCommand request_queues(uint16_t queues) {
  AdminCommand command = admin(AdminOpcode::kSetFeatures);
  const uint32_t less_one = static_cast<uint32_t>(queues) - 1;
  command.entry.dword10 = kNumberOfQueues;
  command.entry.dword11 = less_one | less_one << 16;
  return command;
}

AdminCommand create_completion_queue(uint16_t id, uint64_t iova, uint16_t entries, int vector) {
  AdminCommand command = admin(AdminOpcode::kCreateCompletionQueue);
  command.entry.prp1 = iova;
  command.entry.dword10 = id_and_size(id, entries);
  command.entry.dword11 = kPhysicallyContiguous;
  if (vector >= 0) command.entry.dword11 |= kInterruptsEnabled | static_cast<uint32_t>(vector) << 16;
  return command;
}

AdminCommand create_submission_queue(uint16_t id, uint64_t iova, uint16_t entries) {
  AdminCommand command = admin(AdminOpcode::kCreateSubmissionQueue);
  command.entry.prp1 = iova;
  command.entry.dword10 = id_and_size(id, entries);
  command.entry.dword11 = kPhysicallyContiguous | static_cast<uint32_t>(id) << 16;
  return command;
}

AdminCommand delete_submission_queue(uint16_t id) { return delete_queue(AdminOpcode::kDeleteSubmissionQueue, id); }

AdminCommand delete_completion_queue(uint16_t id) { return delete_queue(AdminOpcode::kDeleteCompletionQueue, id); }

AdminCommand abort_command(uint16_t queue, uint16_t command_id) {
  AdminCommand command = admin(AdminOpcode::kAbort);
  command.entry.dword10 = queue | static_cast<uint32_t>(command_id) << 16;
  return command;
}

ReadCommand read_blocks(uint32_t namespace_id, uint64_t first, uint32_t blocks, uint64_t prp1, uint64_t prp2) {
  ReadCommand command;
  command.entry.opcode_and_id = static_cast<uint32_t>(IoOpcode::kRead);
  command.entry.namespace_id = namespace_id;
  command.entry.prp1 = prp1;
  command.entry.prp2 = prp2;
  command.entry.dword10 = static_cast<uint32_t>(first);
  command.entry.dword11 = static_cast<uint32_t>(first >> 32);
  command.entry.dword12 = blocks - 1;
  return command;
}

}  // namespace ntx::nvme
