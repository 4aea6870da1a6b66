#include "reader.h"

#include <algorithm>

namespace ntx::nvme {

namespace {

/// Reads below this size cost less through bounce buffers than pinning their target would.
constexpr uint64_t kLeastPinnedBytes = 256 << 10;
/// Without a single good read between them.
constexpr int kResets = 3;

}  // namespace

Reader::Reader(Transport& transport, Controller& controller, Events events)
    : transport_(transport), controller_(controller), events_(std::move(events)) {
  for (size_t i = 0; i < controller.info().queues; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, transport, controller, i));
  }
}

Reader::~Reader() = default;

void Reader::start() {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->start();
}

void Reader::read(std::shared_ptr<Job> job) {
  job->result.id = job->id;
  {
    const std::scoped_lock lock(mutex_);
    if (!lost_ && !job->runs.empty()) {
      jobs_.push_back(std::move(job));
    } else if (lost_) {
      job->result.reason = lost_reason_;
    }
  }
  if (job) return events_.on_done(job->result);
  for (const std::unique_ptr<Worker>& worker : workers_) worker->wake();
}

void Reader::stop(bool drop) {
  if (drop) {
    const std::scoped_lock lock(mutex_);
    for (const std::shared_ptr<Job>& job : jobs_) job->next = job->pieces.size();
    jobs_.clear();
  }
  stopping_ = true;
  for (const std::unique_ptr<Worker>& worker : workers_) worker->wake();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->join();
  pins_.clear();
}

/// Pins the target where that pays, and cuts the runs into commands.
void Reader::plan(Job& job) {
  job.pinned = pins_.find(job.target, job.target_bytes);
  if (!job.pinned && job.target_bytes >= kLeastPinnedBytes) {
    try {
      job.pinned = std::make_shared<Pinned>(transport_, job.target, job.target_bytes);
    } catch (const std::runtime_error&) {
      // A device's own mapping, or a limit on locked memory: bounce buffers do as well, slower.
    }
  }
  const DriveInfo& info = controller_.info();
  const PieceLimits limits{info.block_bytes, info.command_bytes, workers_.front()->bounce_bytes()};
  const auto address = reinterpret_cast<uintptr_t>(job.target);
  for (const Run& run : job.runs) plan_pieces(run, address, job.pinned != nullptr, limits, job.pieces);
  job.planned = true;
}

std::optional<Work> Reader::take() {
  std::unique_lock lock(mutex_);
  while (!jobs_.empty()) {
    const std::shared_ptr<Job> job = jobs_.front();
    if (!job->planned) {
      // Pinning takes milliseconds: others may take from the next job meanwhile. `open` keeps this one from ending.
      jobs_.pop_front();
      job->open++;
      lock.unlock();
      try {
        plan(*job);
      } catch (const std::exception& error) {
        finish(job, {}, 0, error.what());
        lock.lock();
        continue;
      }
      lock.lock();
      job->open--;
      jobs_.push_front(job);
      for (const std::unique_ptr<Worker>& worker : workers_) worker->wake();  // they may have seen no job meanwhile
    }
    if (job->failed || job->next == job->pieces.size()) {
      jobs_.pop_front();
      continue;
    }
    const Piece& piece = job->pieces[job->next++];
    job->open++;
    if (job->next == job->pieces.size()) jobs_.pop_front();
    return Work{job, piece, 0};
  }
  return std::nullopt;
}

void Reader::finish(const std::shared_ptr<Job>& job, const Status& status, uint64_t offset, const std::string& reason) {
  {
    const std::scoped_lock lock(mutex_);
    job->open--;
    if ((!status.ok() || !reason.empty()) && !job->failed) {
      job->failed = true;
      job->result.status = status;
      job->result.offset = offset;
      job->result.reason = reason;
    }
    if (job->open > 0 || (!job->failed && job->next < job->pieces.size())) return;
  }
  job->pinned.reset();
  events_.on_done(job->result);
}

void Reader::wait_for_recovery() {
  if (!recovering_) return;
  std::unique_lock lock(recovered_mutex_);
  recovered_.wait(lock, [this] { return !recovering_; });
}

void Reader::with_workers_stopped(const std::function<void()>& work) {
  recovering_ = true;
  {
    std::vector<std::unique_lock<std::mutex>> locks;
    for (const std::unique_ptr<Worker>& worker : workers_) locks.emplace_back(worker->mutex());
    work();
  }
  {
    const std::scoped_lock lock(recovered_mutex_);
    recovering_ = false;
  }
  recovered_.notify_all();
}

void Reader::recover(uint64_t generation) {
  const std::scoped_lock lock(recovery_mutex_);
  if (generation != generation_ || lost_) return;
  with_workers_stopped([this] {
    try {
      if (++resets_in_a_row_ > kResets) {
        throw DriveLost("the drive failed again after " + std::to_string(kResets) + " resets");
      }
      controller_.restart();
      stats_.resets++;
      generation_++;
      for (const std::unique_ptr<Worker>& worker : workers_) worker->requeue();
    } catch (const std::exception& error) {
      lose_locked(error.what());
    }
  });
}

void Reader::lose(const std::string& reason) {
  const std::scoped_lock lock(recovery_mutex_);
  if (lost_) return;
  with_workers_stopped([&] { lose_locked(reason); });
}

void Reader::lose_locked(const std::string& reason) {
  transport_.cut_off();  // before any target's memory goes back to its owner
  std::deque<std::shared_ptr<Job>> waiting;
  {
    const std::scoped_lock lock(mutex_);
    lost_reason_ = reason;
    lost_ = true;
    for (const std::shared_ptr<Job>& job : jobs_) {
      if (job->failed) continue;  // it has ended, or does with the last of its open pieces
      job->failed = true;
      job->result.reason = reason;
      if (job->open == 0) waiting.push_back(job);
    }
    jobs_.clear();
  }
  generation_++;
  events_.on_lost(reason);
  for (const std::unique_ptr<Worker>& worker : workers_) worker->give_up(reason);
  for (const std::shared_ptr<Job>& job : waiting) events_.on_done(job->result);
}

}  // namespace ntx::nvme
