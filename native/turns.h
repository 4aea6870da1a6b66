// How the host takes its turn in the middle of a device's work, with nobody to wake in between: two words in pinned memory in
// front of what both work on. The device writes a turn's number into the one when the data is the host's, and goes on when the
// host has written it into the other. Numbers count up and wrap around. src/backend/turns.ts has the same layout.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ntx {

// Each on its own cache lines: one side polls while the other writes.
constexpr size_t kDeviceWord = 0, kHostWord = 128;
/// The data begins here.
constexpr size_t kTurnHeader = 256;

inline bool has_come(uint32_t word, uint32_t turn) { return static_cast<int32_t>(word - turn) >= 0; }

inline std::atomic_ref<uint32_t> turn_word(uint8_t* memory, size_t at) {
  return std::atomic_ref(*reinterpret_cast<uint32_t*>(memory + at));
}

}  // namespace ntx
