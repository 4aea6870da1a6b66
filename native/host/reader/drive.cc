#include "drive.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

namespace ntx {

namespace {

/// Beside a ring, threads read what it cannot: ends of tensors, what has to be copied, what is cached.
constexpr unsigned kMostHelpers = 8;

}  // namespace

Drive::Drive(const DriveSettings& settings, Ended on_ended) : depth_(settings.depth), on_ended_(std::move(on_ended)) {
  if (settings.io_uring) ring_ = std::make_unique<Ring>(static_cast<PieceSource&>(*this), depth_);
  pool_.emplace_back([this] { serve(); });
}

Drive::~Drive() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  drop();
  wake_.notify_all();
  // The pool first: its threads wake the ring. None is added any more.
  for (std::thread& thread : pool_) thread.join();
  ring_.reset();
}

void Drive::enqueue(std::span<const Piece> pieces) {
  {
    std::lock_guard lock(mutex_);
    for (const Piece& piece : pieces) (piece.way == Way::direct ? direct_ : others_).push_back(piece);
    grow_pool();
  }
  wake_.notify_all();
  if (ring_) ring_->wake();
}

void Drive::drop() {
  std::deque<Piece> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped.swap(direct_);
    dropped.insert(dropped.end(), others_.begin(), others_.end());
    others_.clear();
  }
  for (const Piece& piece : dropped) on_ended_(piece, {kCancelled, piece.offset});
}

void Drive::attach(const std::vector<iovec>& memory) {
  if (ring_) ring_->attach(memory);
}

unsigned Drive::peak() const {
  std::lock_guard lock(mutex_);
  return peak_;
}

/// A thread for each piece that could be read now; threads stay. Under mutex_.
void Drive::grow_pool() {
  if (stopping_) return;
  const size_t most = ring_ ? std::min(depth_, kMostHelpers) : depth_;
  const size_t waiting = others_.size() + (ring_ ? 0 : direct_.size());
  try {
    for (size_t served = idle_; served < waiting && pool_.size() < most; ++served) {
      pool_.emplace_back([this] { serve(); });
    }
  } catch (const std::system_error&) {
    // The system has no more threads: those that there are do it all.
  }
}

bool Drive::pool_has_work() const { return in_flight_ < depth_ && (!others_.empty() || (!ring_ && !direct_.empty())); }

void Drive::started() {
  ++in_flight_;
  peak_ = std::max(peak_, in_flight_);
}

/// For the ring: never blocks. Idle threads with work go first, so that no end of a read waits for all other reads.
bool Drive::take(Piece& piece) {
  std::lock_guard lock(mutex_);
  const size_t reserved = std::min<size_t>(others_.size(), idle_);
  if (direct_.empty() || in_flight_ + reserved >= depth_) return false;
  piece = direct_.front();
  direct_.pop_front();
  started();
  return true;
}

/// From the ring, which looks for more by itself.
void Drive::end(const Piece& piece, Outcome outcome) {
  {
    std::lock_guard lock(mutex_);
    --in_flight_;
  }
  wake_.notify_one();
  on_ended_(piece, outcome);
}

/// From the ring: a piece that it began and the kernel refused.
void Drive::bounce(const Piece& piece) {
  {
    std::lock_guard lock(mutex_);
    --in_flight_;
    others_.push_front(piece);
    others_.front().way = Way::bounced;
    grow_pool();
    if (!stopping_) {
      wake_.notify_one();
      return;
    }
    others_.pop_front();
  }
  on_ended_(piece, {kCancelled, piece.offset});
}

void Drive::serve() {
  Bounce bounce;
  for (;;) {
    Piece piece;
    {
      std::unique_lock lock(mutex_);
      ++idle_;
      wake_.wait(lock, [&] { return stopping_ || pool_has_work(); });
      --idle_;
      if (stopping_) return;
      std::deque<Piece>& queue = others_.empty() ? direct_ : others_;
      piece = queue.front();
      queue.pop_front();
      started();
    }
    Outcome outcome;
    try {
      outcome = read_piece(piece, bounce);
    } catch (const std::bad_alloc&) {
      outcome = {ENOMEM, piece.offset};
    }
    bool ring_waits;
    {
      std::lock_guard lock(mutex_);
      --in_flight_;
      ring_waits = ring_ && !direct_.empty();
    }
    if (ring_waits) ring_->wake();
    on_ended_(piece, outcome);
  }
}

}  // namespace ntx
