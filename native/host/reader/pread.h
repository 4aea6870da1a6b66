// One thread's way to read a piece: pread, straight into its place or through an aligned buffer.
#pragma once

#include <cstdlib>
#include <memory>

#include "piece.h"

namespace ntx {

/// A thread's aligned buffer for what cannot be read into its place; it grows to what is asked.
class Bounce {
 public:
  /// Throws std::bad_alloc.
  uint8_t* room(uint64_t bytes);

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint8_t, Free> data_;
  uint64_t bytes_ = 0;
};

/// Reads all of a piece: interrupted and short reads go on, a direct read that is refused takes the next way, which
/// `piece.way` then says.
Outcome read_piece(Piece& piece, Bounce& bounce);

/// Whether an error of a direct read means that the memory or the file does not take them.
bool refuses_direct(int error);

}  // namespace ntx
