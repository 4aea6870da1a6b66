// Direct reads through io_uring: one thread that keeps as many pieces at the drive as it is given.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <string>
#include <vector>

#include "piece.h"

namespace ntx {

/// Where a ring's pieces come from and how they end. Called on the ring's thread.
class PieceSource {
 public:
  /// The next direct piece, if there is one that may begin.
  virtual bool take(Piece& piece) = 0;
  virtual void end(const Piece& piece, Outcome outcome) = 0;
  /// The kernel does not take this direct read as it is: it needs another way.
  virtual void bounce(const Piece& piece) = 0;

 protected:
  ~PieceSource() = default;
};

class Ring {
 public:
  /// Why there can be none in this process: the build, the kernel, a sandbox. Empty where there can.
  static std::string unavailable();
  /// The library's version; empty where the build had none.
  static std::string library();

  /// At most `depth` pieces at a time. Throws std::system_error.
  Ring(PieceSource& source, unsigned depth);
  /// Waits for the pieces in flight.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// There is a new piece to take. On any thread.
  void wake();
  /// Has the kernel pin memory that many pieces will go to, when none is in flight; a wish.
  void attach(const std::vector<iovec>& memory);
  bool has_pinned() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ntx
