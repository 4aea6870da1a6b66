// Registers of an NVMe controller in BAR 0. Sections are those of the NVM Express Base Specification 2.0, except for
// the doorbells: NVMe over PCIe Transport Specification 1.0, section 3.1.2.
#pragma once

#include <cstdint>

namespace ntx::nvme {

constexpr uint32_t kCapabilities = 0x00;      // 3.1.3.1, 64 bits
constexpr uint32_t kVersion = 0x08;           // 3.1.3.2
constexpr uint32_t kConfiguration = 0x14;     // 3.1.3.5
constexpr uint32_t kStatus = 0x1c;            // 3.1.3.6
constexpr uint32_t kAdminAttributes = 0x24;   // 3.1.3.8
constexpr uint32_t kAdminSubmissions = 0x28;  // 3.1.3.9, 64 bits
constexpr uint32_t kAdminCompletions = 0x30;  // 3.1.3.10, 64 bits
constexpr uint32_t kDoorbells = 0x1000;

/// CC
constexpr uint32_t kEnable = 1;
constexpr uint32_t kShutdownMask = 3u << 14;
constexpr uint32_t kNormalShutdown = 1u << 14;
/// I/O submission entries of 2^6 bytes, completion entries of 2^4.
constexpr uint32_t kEntrySizes = (6u << 16) | (4u << 20);

/// CSTS
constexpr uint32_t kReady = 1;
constexpr uint32_t kFatal = 2;
constexpr uint32_t kShutdownState = 3u << 2;
constexpr uint32_t kShutdownComplete = 2u << 2;

/// What every register reads as when nobody answers on the bus.
constexpr uint32_t kGone = 0xffffffff;

/// CAP, decoded (3.1.3.1).
struct Capabilities {
  explicit Capabilities(uint64_t value)
      : max_entries(static_cast<uint32_t>(value & 0xffff) + 1),
        timeout_ms(static_cast<uint32_t>(value >> 24 & 0xff) * 500),
        doorbell_stride(4u << (value >> 32 & 0xf)),
        nvm_commands((value >> 37 & 1) != 0),
        min_page(uint64_t{4096} << (value >> 48 & 0xf)),
        max_page(uint64_t{4096} << (value >> 52 & 0xf)) {}

  uint32_t max_entries;      // of one queue
  uint32_t timeout_ms;       // of CSTS.RDY after CC.EN
  uint32_t doorbell_stride;  // bytes between doorbells
  bool nvm_commands;         // the NVM command set, which Read belongs to
  uint64_t min_page, max_page;
};

inline uint32_t submission_doorbell(uint16_t queue, uint32_t stride) { return kDoorbells + 2u * queue * stride; }
inline uint32_t completion_doorbell(uint16_t queue, uint32_t stride) { return kDoorbells + (2u * queue + 1) * stride; }

}  // namespace ntx::nvme
