#include "executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "../turns.h"
#include "kernels/vector-kernels.h"

namespace ntx {

namespace {

constexpr int64_t kCopyGrain = 1 << 20;
constexpr int64_t kReadGrain = 4 << 20;
constexpr int kReadRuns = 5;  // the first one faults the pages in
constexpr int kSpinsAClock = 64;
/// A turn comes within this where a pass goes on. One that takes longer leaves the core to others in between.
constexpr auto kTurnPatience = std::chrono::milliseconds(10);
constexpr auto kTurnNap = std::chrono::microseconds(50);

void copy_bytes(Pool& pool, const uint8_t* from, uint8_t* to, uint64_t bytes) {
  if (bytes <= static_cast<uint64_t>(kCopyGrain)) {
    std::memmove(to, from, bytes);
    return;
  }
  pool.run([&](Worker& worker) {
    int64_t begin, end;
    while (worker.take(static_cast<int64_t>(bytes), kCopyGrain, begin, end)) {
      std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
    }
  });
}

double measure_once(Pool& pool, const Mapping& memory) {
  std::atomic<uint64_t> seen{0};
  const auto started = std::chrono::steady_clock::now();
  pool.run([&](Worker& worker) {
    int64_t begin, end;
    while (worker.take(static_cast<int64_t>(memory.bytes()), kReadGrain, begin, end)) {
      seen |= vector_kernels().read_all(memory.data() + begin, static_cast<size_t>(end - begin));
    }
  });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  return static_cast<double>(memory.bytes()) / seconds.count();
}

}  // namespace

Executor::Executor(unsigned threads, std::chrono::microseconds patience, Progress on_progress)
    : pool_(threads, patience), on_progress_(std::move(on_progress)), thread_([this] { serve(); }) {}

Executor::~Executor() {
  stop();
  thread_.join();
}

uint64_t Executor::submit(std::shared_ptr<const OpList> list, CheckedStep step, size_t first, size_t end) {
  return enqueue({[list = std::move(list), step = std::move(step), first, end](Pool& pool) {
    const Step view = step.step();
    pool.run([&](Worker& worker) { list->run(worker, view, first, end); });
  }});
}

uint64_t Executor::take_turn(std::shared_ptr<const OpList> list, CheckedStep step, size_t first, size_t end,
                             std::shared_ptr<Mapping> words, uint32_t turn) {
  const auto done = [words, turn] { turn_word(words->data(), kHostWord).store(turn, std::memory_order_release); };
  auto run = [this, list = std::move(list), step = std::move(step), first, end, words, turn, done](Pool& pool) {
    Span& span = spans_[(completed() + 1) % kSpans];
    span.began = span.ended = Clock::now();
    if (await_turn(*words, turn)) {
      span.began = Clock::now();
      const Step view = step.step();
      pool.run([&](Worker& worker) { list->run(worker, view, first, end); });
      span.ended = Clock::now();
    }
    done();
  };
  return enqueue({std::move(run), done});
}

/// False when it will not come any more.
bool Executor::await_turn(Mapping& words, uint32_t turn) const {
  const auto word = turn_word(words.data(), kDeviceWord);
  const auto until = Clock::now() + kTurnPatience;
  for (;;) {
    for (int spins = 0; spins < kSpinsAClock; ++spins) {
      if (has_come(word.load(std::memory_order_acquire), turn)) return true;
      spin_pause();
    }
    if (stopping_) return false;
    if (Clock::now() > until) std::this_thread::sleep_for(kTurnNap);
  }
}

uint64_t Executor::copy(std::shared_ptr<const Mapping> from, uint64_t from_offset, std::shared_ptr<Mapping> to,
                        uint64_t to_offset, uint64_t bytes) {
  return enqueue({[=, from = std::move(from), to = std::move(to)](Pool& pool) {
    copy_bytes(pool, from->data() + from_offset, to->data() + to_offset, bytes);
  }});
}

uint64_t Executor::read(std::shared_ptr<const Mapping> from, uint64_t offset, uint64_t bytes, uint8_t* to) {
  return enqueue({[=, from = std::move(from)](Pool& pool) { copy_bytes(pool, from->data() + offset, to, bytes); }});
}

uint64_t Executor::measure_read_bandwidth(std::shared_ptr<const Mapping> memory, double* bytes_per_second) {
  return enqueue({[memory = std::move(memory), bytes_per_second](Pool& pool) {
    std::memset(memory->data(), 1, memory->bytes());  // untouched pages would all be the one page of zeros
    double best = 0;
    for (int run = 0; run < kReadRuns; ++run) best = std::max(best, measure_once(pool, *memory));
    *bytes_per_second = best;
  }});
}

void Executor::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

uint64_t Executor::enqueue(Job job) {
  uint64_t number;
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    number = ++submitted_;
  }
  wake_.notify_one();
  return number;
}

void Executor::serve() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (stopping_) break;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job.run(pool_);
    job = {};  // what it held may be the last reference
    completed_.fetch_add(1, std::memory_order_release);
    on_progress_(false);
  }
  {
    std::lock_guard lock(mutex_);
    for (const Job& job : jobs_) {
      if (job.drop) job.drop();
    }
  }
  on_progress_(true);
}

}  // namespace ntx
