#include "ring.h"

#include <cerrno>
#include <system_error>

#ifdef NTX_LIBURING

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "pread.h"

namespace ntx {

namespace {

constexpr uint64_t kMostRegisteredBytes = 1 << 30;  // of one buffer (io_uring_register_buffers(3))
constexpr unsigned kReapedAtOnce = 64;
constexpr auto kBusyPause = std::chrono::microseconds(100);

#ifdef IORING_SETUP_COOP_TASKRUN
/// Completions do not interrupt the thread: it asks for them anyway (Linux 5.19).
constexpr unsigned kFlags = IORING_SETUP_COOP_TASKRUN;
#else
constexpr unsigned kFlags = 0;
#endif

/// Kernels that have io_uring and not this request (before Linux 5.6) end it at once, over and over.
bool can_read(io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return false;
  const bool can = io_uring_opcode_supported(probe, IORING_OP_READ);
  io_uring_free_probe(probe);
  return can;
}

/// 0, or -errno.
int open_ring(unsigned entries, io_uring* ring) {
  int error = io_uring_queue_init(entries, ring, kFlags);
  if (error == -EINVAL && kFlags != 0) error = io_uring_queue_init(entries, ring, 0);
  if (error != 0 || can_read(ring)) return error;
  io_uring_queue_exit(ring);
  return -ENOSYS;
}

}  // namespace

class Ring::Implementation {
 public:
  Implementation(PieceSource& source, unsigned depth);
  ~Implementation();
  void wake();
  void attach(const std::vector<iovec>& memory);
  bool has_pinned() const { return pinned_.load(std::memory_order_relaxed); }

 private:
  /// A piece in flight: `rest` of it is still to come.
  struct Slot {
    Piece piece;
    Piece rest;
  };

  void release();
  void serve();
  void begin_pieces();
  void submit(Slot& slot);
  void listen();
  void complete(Slot& slot, int result);
  void pin();
  bool register_buffers();
  int buffer_of(const Piece& piece) const;

  PieceSource& source_;
  io_uring ring_;
  int event_ = -1;  // written to by wake(), read by the ring itself: one wait for both
  uint64_t event_count_ = 0;
  std::vector<Slot> slots_;
  std::vector<Slot*> free_;
  std::vector<iovec> buffers_;  // those that are registered
  std::mutex mutex_;
  std::vector<iovec> wanted_;  // guarded by mutex_
  std::atomic<bool> pins_wanted_{false}, pinned_{false}, stopping_{false};
  std::thread thread_;
};

Ring::Implementation::Implementation(PieceSource& source, unsigned depth) : source_(source), slots_(depth) {
  if (const int error = open_ring(depth + 1, &ring_); error != 0) {
    throw std::system_error(-error, std::generic_category(), "io_uring");
  }
  try {
    event_ = eventfd(0, EFD_CLOEXEC);
    if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    for (Slot& slot : slots_) free_.push_back(&slot);
    thread_ = std::thread([this] { serve(); });
  } catch (...) {
    release();
    throw;
  }
}

Ring::Implementation::~Implementation() {
  stopping_ = true;
  wake();
  thread_.join();
  release();
}

void Ring::Implementation::release() {
  io_uring_queue_exit(&ring_);
  if (event_ >= 0) close(event_);
}

void Ring::Implementation::wake() {
  const uint64_t one = 1;
  // It fails only where the count is full: the thread is then awake already.
  if (write(event_, &one, sizeof one) != sizeof one) return;
}

void Ring::Implementation::attach(const std::vector<iovec>& memory) {
  {
    std::lock_guard lock(mutex_);
    for (const iovec& each : memory) {
      for (uint64_t at = 0; at < each.iov_len; at += kMostRegisteredBytes) {
        const uint64_t bytes = std::min<uint64_t>(kMostRegisteredBytes, each.iov_len - at);
        wanted_.push_back({static_cast<uint8_t*>(each.iov_base) + at, bytes});
      }
    }
  }
  pins_wanted_ = true;
  wake();
}

/// With nothing in flight: the kernel takes the whole table at once.
void Ring::Implementation::pin() {
  pins_wanted_ = false;
  const std::vector<iovec> before = buffers_;
  if (!before.empty()) io_uring_unregister_buffers(&ring_);
  std::lock_guard lock(mutex_);
  buffers_ = wanted_;
  if (register_buffers()) return;
  // The limit of locked memory or the kind of memory forbids it: reads into what is new name addresses, as they always may.
  wanted_ = buffers_ = before;
  if (!before.empty() && !register_buffers()) buffers_.clear();
}

bool Ring::Implementation::register_buffers() {
  const bool done = io_uring_register_buffers(&ring_, buffers_.data(), static_cast<unsigned>(buffers_.size())) == 0;
  pinned_ = done;
  return done;
}

int Ring::Implementation::buffer_of(const Piece& piece) const {
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const auto* begin = static_cast<const uint8_t*>(buffers_[i].iov_base);
    if (piece.to >= begin && piece.to + piece.bytes <= begin + buffers_[i].iov_len) return static_cast<int>(i);
  }
  return -1;
}

void Ring::Implementation::submit(Slot& slot) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);  // there is one for each slot and one for the event
  const Piece& rest = slot.rest;
  const int file = rest.request->file->direct();
  if (const int buffer = buffer_of(rest); buffer >= 0) {
    io_uring_prep_read_fixed(entry, file, rest.to, rest.bytes, rest.offset, buffer);
  } else {
    io_uring_prep_read(entry, file, rest.to, rest.bytes, rest.offset);
  }
  io_uring_sqe_set_data(entry, &slot);
}

void Ring::Implementation::listen() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  io_uring_prep_read(entry, event_, &event_count_, sizeof event_count_, 0);
  io_uring_sqe_set_data(entry, nullptr);
}

void Ring::Implementation::begin_pieces() {
  if (pins_wanted_ && free_.size() == slots_.size()) pin();
  while (!free_.empty() && !pins_wanted_) {
    Slot& slot = *free_.back();
    if (!source_.take(slot.piece)) return;
    free_.pop_back();
    slot.rest = slot.piece;
    submit(slot);
    // One by one: neighbours that come at once become a single request of megabytes, and a drive has only a few of those at a time.
    io_uring_submit(&ring_);
  }
}

void Ring::Implementation::complete(Slot& slot, int result) {
  Piece& rest = slot.rest;
  if (result == -EINTR) return submit(slot);
  if (result > 0 && static_cast<uint32_t>(result) < rest.bytes) {
    rest.offset += static_cast<uint32_t>(result);
    rest.bytes -= static_cast<uint32_t>(result);
    rest.to += result;
    // Stopped between blocks: pread finds out why, through its own buffer.
    if (rest.offset % rest.request->file->offset_alignment() == 0) return submit(slot);
    result = -EINVAL;
  }
  const Piece piece = slot.piece;
  const Piece left = rest;
  free_.push_back(&slot);
  if (result > 0) return source_.end(piece, {});
  if (result == 0) return source_.end(piece, {kEnded, left.offset});
  if (refuses_direct(-result) || result == -EAGAIN) return source_.bounce(left);
  source_.end(piece, {-result, left.offset});
}

void Ring::Implementation::serve() {
  listen();
  for (;;) {
    begin_pieces();
    if (stopping_ && free_.size() == slots_.size()) return;
    const int error = io_uring_submit_and_wait(&ring_, 1);
    // Too little memory for the kernel, or completions to be taken first: what is not submitted is so next time.
    if (error < 0 && error != -EINTR) std::this_thread::sleep_for(kBusyPause);
    io_uring_cqe* entries[kReapedAtOnce];
    const unsigned count = io_uring_peek_batch_cqe(&ring_, entries, kReapedAtOnce);
    for (unsigned i = 0; i < count; ++i) {
      auto* slot = static_cast<Slot*>(io_uring_cqe_get_data(entries[i]));
      const int result = entries[i]->res;
      io_uring_cqe_seen(&ring_, entries[i]);
      if (slot == nullptr) {
        listen();
      } else {
        complete(*slot, result);
      }
    }
  }
}

std::string Ring::unavailable() {
  io_uring ring;
  const int error = open_ring(2, &ring);
  if (error == 0) io_uring_queue_exit(&ring);
  if (error == 0) return {};
  return std::string("the system refuses it: ") + std::strerror(-error);
}

std::string Ring::library() {
#ifdef IO_URING_VERSION_MAJOR
  return std::to_string(IO_URING_VERSION_MAJOR) + "." + std::to_string(IO_URING_VERSION_MINOR);
#else
  return "installed";
#endif
}

}  // namespace ntx

#else

namespace ntx {

class Ring::Implementation {
 public:
  void wake() {}
  void attach(const std::vector<iovec>&) {}
  bool has_pinned() const { return false; }
};

std::string Ring::unavailable() { return "ntx was built without liburing"; }
std::string Ring::library() { return {}; }

}  // namespace ntx

#endif

namespace ntx {

Ring::Ring([[maybe_unused]] PieceSource& source, [[maybe_unused]] unsigned depth) {
#ifdef NTX_LIBURING
  implementation_ = std::make_unique<Implementation>(source, depth);
#else
  throw std::system_error(ENOSYS, std::generic_category(), "ntx was built without liburing");
#endif
}

Ring::~Ring() = default;
void Ring::wake() { implementation_->wake(); }
void Ring::attach(const std::vector<iovec>& memory) { implementation_->attach(memory); }
bool Ring::has_pinned() const { return implementation_->has_pinned(); }

}  // namespace ntx
