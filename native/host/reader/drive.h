// The pieces that wait for one drive, and what reads them: threads with pread, and io_uring where it is asked for.
#pragma once

#include <sys/uio.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "piece.h"
#include "pread.h"
#include "ring.h"

namespace ntx {

struct DriveSettings {
  /// Pieces that the drive has at a time, never more.
  unsigned depth;
  bool io_uring;
};

class Drive final : private PieceSource {
 public:
  /// Called on the drive's threads when a piece has ended.
  using Ended = std::function<void(const Piece&, Outcome)>;
  /// Throws std::system_error where io_uring is asked for and refused.
  Drive(const DriveSettings& settings, Ended on_ended);
  /// Waits for the pieces that the drive has; others end as cancelled.
  ~Drive();
  Drive(const Drive&) = delete;
  Drive& operator=(const Drive&) = delete;

  void enqueue(std::span<const Piece> pieces);
  /// Ends the pieces that have not begun as cancelled.
  void drop();
  /// Memory that many direct reads will go to; it stays where it is for as long as the drive lives.
  void attach(const std::vector<iovec>& memory);
  /// The most pieces that the drive has had at a time.
  unsigned peak() const;
  /// Whether the kernel has pinned what was attached.
  bool has_pinned() const { return ring_ && ring_->has_pinned(); }

 private:
  bool take(Piece& piece) override;
  void end(const Piece& piece, Outcome outcome) override;
  void bounce(const Piece& piece) override;
  void started();
  void grow_pool();
  void serve();
  bool pool_has_work() const;

  const unsigned depth_;
  const Ended on_ended_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // All guarded by mutex_.
  std::deque<Piece> direct_;  // the ring's, where there is one
  std::deque<Piece> others_;  // only pread's
  unsigned in_flight_ = 0, peak_ = 0, idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> pool_;
  std::unique_ptr<Ring> ring_;
};

}  // namespace ntx
