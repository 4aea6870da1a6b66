#include "worker.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ntx {

void spin_pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

namespace {

// Spins (some 0.1 ms) before sleeping. Workers of one pass arrive within microseconds of each other, unless the machine
// has fewer free cores than workers: then the late one may be waiting for this very core.
constexpr int kSpins = 3000;
constexpr int kSpinsAClock = 64;

}  // namespace

void Worker::sync() {
  const uint64_t phase = pool_.phase_.load(std::memory_order_relaxed);
  if (pool_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == pool_.threads_) {
    pool_.arrived_.store(0, std::memory_order_relaxed);
    pool_.cursor_.store(0, std::memory_order_relaxed);
    pool_.phase_.store(phase + 1, std::memory_order_release);
    pool_.phase_.notify_all();
    return;
  }
  for (int spins = 0; spins < kSpins; ++spins) {
    if (pool_.phase_.load(std::memory_order_acquire) != phase) return;
    spin_pause();
  }
  pool_.phase_.wait(phase, std::memory_order_acquire);
}

bool Worker::take(int64_t total, int64_t grain, int64_t& begin, int64_t& end) {
  begin = pool_.cursor_.fetch_add(grain, std::memory_order_relaxed);
  if (begin >= total) return false;
  end = begin + grain < total ? begin + grain : total;
  return true;
}

Pool::Pool(unsigned threads, std::chrono::microseconds patience) : threads_(threads), patience_(patience) {
  try {
    for (unsigned i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    end();
    throw;
  }
}

Pool::~Pool() { end(); }

void Pool::end() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Pool::run(const std::function<void(Worker&)>& pass) {
  {
    std::lock_guard lock(mutex_);
    pass_ = &pass;
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  Worker worker(*this, 0);
  pass(worker);
  worker.sync();
}

void Pool::serve(unsigned index) {
  Worker worker(*this, index);
  uint64_t seen = 0;
  for (;;) {
    if (!await_pass(seen)) return;
    ++seen;  // a pass ends when all have walked through it: none is missed
    (*pass_)(worker);
    worker.sync();
  }
}

/// False when there will be none.
bool Pool::await_pass(uint64_t seen) {
  if (patience_.count() > 0) {
    const auto until = std::chrono::steady_clock::now() + patience_;
    do {
      for (int spins = 0; spins < kSpinsAClock; ++spins) {
        if (epoch_.load(std::memory_order_acquire) != seen) return true;
        spin_pause();
      }
    } while (!stopping_ && std::chrono::steady_clock::now() < until);
  }
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stopping_ || epoch_.load(std::memory_order_acquire) != seen; });
  return !stopping_;
}

}  // namespace ntx
