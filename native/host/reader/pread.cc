#include "pread.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <thread>

namespace ntx {

namespace {

constexpr uint64_t kBounceAlignment = 4096;  // of every drive's blocks and of pages
constexpr int kMostBusyReplies = 10'000;     // about a second of them
constexpr auto kBusyPause = std::chrono::microseconds(100);

/// What is left of a piece.
struct Rest {
  uint64_t offset;
  uint64_t bytes;
  uint8_t* to;

  void advance(uint64_t done) {
    offset += done;
    bytes -= done;
    to += done;
  }
};

/// pread, again where a signal or a busy drive interrupted it: bytes, or -errno.
ssize_t read_some(int file, uint8_t* to, uint64_t bytes, uint64_t offset) {
  for (int busy = 0;;) {
    const ssize_t got = pread(file, to, bytes, static_cast<off_t>(offset));
    if (got >= 0) return got;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || ++busy > kMostBusyReplies) return -errno;
    std::this_thread::sleep_for(kBusyPause);
  }
}

Outcome read_buffered(int file, Rest rest) {
  while (rest.bytes > 0) {
    const ssize_t got = read_some(file, rest.to, rest.bytes, rest.offset);
    if (got < 0) return {static_cast<int>(-got), rest.offset};
    if (got == 0) return {kEnded, rest.offset};
    rest.advance(static_cast<uint64_t>(got));
  }
  return {};
}

/// Reads the blocks that hold the rest and copies out of them.
Outcome read_bounced(const InputFile& file, Rest& rest, Bounce& bounce) {
  const uint64_t unit = file.offset_alignment();
  while (rest.bytes > 0) {
    const uint64_t begin = rest.offset / unit * unit;
    const uint64_t skip = rest.offset - begin;
    const uint64_t blocks = (skip + rest.bytes + unit - 1) / unit * unit;
    uint8_t* room = bounce.room(blocks);
    const ssize_t got = read_some(file.direct(), room, blocks, begin);
    if (got < 0) return {static_cast<int>(-got), rest.offset};
    if (static_cast<uint64_t>(got) <= skip) return {kEnded, begin + static_cast<uint64_t>(got)};
    const uint64_t useful = std::min<uint64_t>(rest.bytes, static_cast<uint64_t>(got) - skip);
    std::memcpy(rest.to, room + skip, useful);
    rest.advance(useful);
  }
  return {};
}

/// Leaves in `rest` what could not be read so: the end of a read that stopped between blocks.
Outcome read_direct(const InputFile& file, Rest& rest) {
  while (rest.bytes > 0 && rest.offset % file.offset_alignment() == 0) {
    const ssize_t got = read_some(file.direct(), rest.to, rest.bytes, rest.offset);
    if (got < 0) return {static_cast<int>(-got), rest.offset};
    if (got == 0) return {kEnded, rest.offset};
    rest.advance(static_cast<uint64_t>(got));
  }
  return {};
}

}  // namespace

uint8_t* Bounce::room(uint64_t bytes) {
  if (bytes > bytes_) {
    data_.reset(static_cast<uint8_t*>(std::aligned_alloc(kBounceAlignment, (bytes + 4095) / 4096 * 4096)));
    if (!data_) throw std::bad_alloc();
    bytes_ = bytes;
  }
  return data_.get();
}

bool refuses_direct(int error) { return error == EINVAL || error == EFAULT || error == EOPNOTSUPP; }

Outcome read_piece(Piece& piece, Bounce& bounce) {
  InputFile& file = *piece.request->file;
  Rest rest{piece.offset, piece.bytes, piece.to};
  if (!file.is_direct()) piece.way = Way::buffered;
  if (piece.way == Way::direct) {
    const Outcome outcome = read_direct(file, rest);
    if (outcome.error == kOk && rest.bytes == 0) return outcome;
    if (outcome.error != kOk && !refuses_direct(outcome.error)) return outcome;
    piece.way = Way::bounced;
  }
  if (piece.way == Way::bounced) {
    const Outcome outcome = read_bounced(file, rest, bounce);
    if (!refuses_direct(outcome.error)) return outcome;
    file.refuse_direct();  // not the memory's fault: the bounce buffer is aligned
    piece.way = Way::buffered;
  }
  return read_buffered(file.buffered(), rest);
}

}  // namespace ntx
