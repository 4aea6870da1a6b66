#include "worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "prp.h"
#include "reader.h"
#include "round-up.h"

namespace ntx::nvme {

namespace {

constexpr uint32_t kBounceBytes = 64 << 10;
/// Between looks at the controller's status and at deadlines.
constexpr uint64_t kCheckNs = 10'000'000;
/// Between looks for completions where there are no interrupts.
constexpr uint64_t kPollNs = 50'000;
constexpr uint64_t kIdleNs = 3'600'000'000'000;
/// Times that one piece is put in. Status codes without "do not retry" may be of passing troubles (3.3.3.2.1).
constexpr int kAttempts = 3;
/// Generic status 07h: Command Abort Requested.
constexpr uint8_t kAbortRequested = 0x07;

uint64_t list_bytes_of(const DriveInfo& info) { return prp_list_pages(info.command_bytes, info.page) * info.page; }

}  // namespace

Worker::Worker(Reader& reader, Transport& transport, Controller& controller, size_t index)
    : reader_(reader),
      transport_(transport),
      controller_(controller),
      queue_(controller.queue(index)),
      vector_(controller.info().interrupts ? queue_.id() : 0),
      bounce_bytes_(std::min(kBounceBytes, controller.info().command_bytes)),
      list_stride_(std::bit_ceil(list_bytes_of(controller.info()))),
      bounce_stride_(std::bit_ceil(uint64_t{bounce_bytes_})),
      bounces_at_(round_up(controller.info().depth * list_stride_, bounce_stride_)),
      memory_(transport, bounces_at_ + controller.info().depth * bounce_stride_),
      flights_(controller.info().depth),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_ < 0) throw std::runtime_error("there is no eventfd for a reading thread");
}

Worker::~Worker() {
  join();
  close(wake_);
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));  // full: it is awake already
}

void Worker::run() {
  uint64_t quiet_since = transport_.now();
  for (;;) {
    reader_.wait_for_recovery();
    const uint64_t generation = reader_.generation();
    try {
      bool moved, is_idle, reset = false;
      {
        const std::scoped_lock lock(mutex_);
        moved = turn();
        is_idle = idle();
        if (!moved && is_idle && reader_.stopping()) return;
        if (!moved) reset = check();
      }
      if (reset) {
        reader_.recover(generation);  // the queue is empty now, and there may be work for it
      } else if (moved) {
        quiet_since = transport_.now();
      } else {
        rest(is_idle, quiet_since);
      }
    } catch (const std::exception& error) {
      reader_.lose(error.what());
    }
  }
}

void Worker::rest(bool is_idle, uint64_t quiet_since) {
  if (transport_.removal_requested() && !reader_.lost()) {
    throw DriveLost("the drive is being removed, or bound to another driver");
  }
  if (is_idle) return transport_.wait(vector_, wake_, reader_.stopping() ? 0 : kIdleNs);
  if (transport_.now() - quiet_since < controller_.options().spin_ns) return transport_.relax();
  reader_.stats().sleeps++;
  transport_.wait(vector_, wake_, controller_.info().interrupts ? kCheckNs : kPollNs);
}

bool Worker::turn() {
  bool moved = false;
  while (const std::optional<Completion> completion = queue_.take()) {
    complete(*completion);
    moved = true;
  }
  moved |= submit();
  queue_.ring();
  return moved;
}

bool Worker::submit() {
  bool moved = false;
  while (queue_.free() > 0) {
    if (!retries_.empty()) {
      Work work = std::move(retries_.front());
      retries_.pop_front();
      issue(std::move(work));
    } else if (std::optional<Work> work = reader_.take()) {
      issue(std::move(*work));
    } else {
      break;
    }
    moved = true;
  }
  return moved;
}

void Worker::issue(Work work) {
  const DriveInfo& info = controller_.info();
  const Piece& piece = work.piece;
  const uint16_t id = queue_.next_id();
  const uint16_t slot = queue_.slot_of(id);
  const uint64_t iova =
      piece.bounce ? memory_.iova_at(bounce_at(slot)) : work.job->pinned->iova_of(work.job->target + piece.at);
  const uint64_t list_at = slot * list_stride_;
  const Prps prps = build_prps(iova, uint64_t{piece.blocks} * info.block_bytes, info.page,
                               reinterpret_cast<uint64_t*>(memory_.data() + list_at), memory_.iova_at(list_at));
  queue_.submit(read_blocks(controller_.options().namespace_id, piece.block, piece.blocks, prps.first, prps.second),
                id);
  flights_[slot] = {std::move(work), transport_.now() + controller_.options().timeout_ns, false};
}

void Worker::complete(const Completion& completion) {
  const uint16_t slot = queue_.slot_of(completion.id);
  Work work = std::move(flights_[slot].work);
  const Status status = completion.status();
  const Piece& piece = work.piece;
  const uint64_t block_bytes = controller_.info().block_bytes;
  if (status.ok()) {
    reader_.note_success();
    ReaderStats& stats = reader_.stats();
    stats.commands++;
    stats.bytes += piece.bytes;
    if (piece.bounce) {
      std::memcpy(work.job->target + piece.at, memory_.data() + bounce_at(slot) + piece.skip, piece.bytes);
      stats.bounced_bytes += piece.bytes;
    }
    reader_.finish(work.job, status, 0);
  } else if (!status.do_not_retry && work.attempts + 1 < kAttempts) {
    again(std::move(work));
  } else {
    const bool given_up = status.type == 0 && status.code == kAbortRequested;
    reader_.finish(work.job, status, piece.block * block_bytes + piece.skip,
                   given_up ? "the drive did not answer in time, and again not when it was asked anew" : "");
  }
}

void Worker::again(Work work) {
  work.attempts++;
  reader_.stats().retries++;
  retries_.push_back(std::move(work));
}

bool Worker::check() {
  const uint64_t now = transport_.now();
  if (now < next_check_ || queue_.in_flight() == 0) return false;
  next_check_ = now + kCheckNs;
  if (controller_.has_failed()) return true;
  for (uint16_t slot = 0; slot < flights_.size(); ++slot) {
    if (queue_.is_busy(slot) && check_deadline(slot, now)) return true;
  }
  return false;
}

/// First the command is aborted: a controller may give it back without harm to the others. Then comes the reset.
bool Worker::check_deadline(uint16_t slot, uint64_t now) {
  Flight& flight = flights_[slot];
  if (now < flight.deadline) return false;
  if (flight.aborted) return true;
  flight.aborted = true;
  flight.deadline = now + controller_.options().timeout_ns;
  reader_.stats().aborts++;
  try {
    controller_.abort(queue_.id(), queue_.id_in(slot));
    return false;
  } catch (const DriveLost&) {
    throw;
  } catch (const std::runtime_error&) {
    return true;  // even the admin queue is stuck
  }
}

void Worker::requeue() {
  for (Flight& flight : flights_) {
    if (!flight.work.job) continue;
    Work work = std::move(flight.work);
    flight.work = {};
    if (work.attempts + 1 < kAttempts) {
      again(std::move(work));
    } else {
      reader_.finish(work.job, {}, work.piece.block * controller_.info().block_bytes,
                     "the drive did not answer in time, and again not after it was reset");
    }
  }
}

void Worker::give_up(const std::string& reason) {
  for (Flight& flight : flights_) {
    if (flight.work.job) retries_.push_back(std::move(flight.work));
    flight.work = {};
  }
  queue_.reset();
  for (const Work& work : retries_) {
    reader_.finish(work.job, {}, work.piece.block * controller_.info().block_bytes, reason);
  }
  retries_.clear();
}

}  // namespace ntx::nvme
