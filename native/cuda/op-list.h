// A recorded list: checked ops over device memory, launched one by one or replayed as CUDA graphs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "../op-decoder.h"
#include "graphs.h"
#include "kernels/hold.h"
#include "kernels/kernels.h"
#include "kernels/sample.h"
#include "memory.h"

namespace ntx::cuda {

/// Attention, and what comes before it, which it does as well in passes whose rows are alone.
struct Attend {
  Attention op;
  std::optional<RopeKvWrite> rope;
};

/// What is launched for one op, or for an rms-norm and the product behind it.
struct Launch {
  uint32_t op;  // its index; of the product, where a norm is fused
  std::variant<Embed, RmsNorm, Product, RopeKvWrite, Attend, TopK> kernel;
  bool outputs = false;  // a product over the step's outputs
  bool in_next = false;  // rope-kv-write, where attention does it
};

/// One op of a profiled pass.
struct Timing {
  uint32_t op;
  float seconds;
};

class OpList final : public Repeatable {
 public:
  using Memories = std::vector<std::shared_ptr<Block>>;

  /// Checks everything that the kernels rely on; throws std::invalid_argument with the op's index and name, or OutOfMemory.
  /// `fused`: indices of ops whose result only the op behind them reads, which may do their part: the result is not written.
  /// These are rms-norms in front of products, and rope-kv-writes (their q, that is) in front of attention.
  /// `cuts`: ascending indices of the ops with which the second and later segments begin. A fused op is part of the segment of
  /// the op behind it.
  OpList(std::shared_ptr<Engine> engine, std::span<const uint8_t> bytes, Memories memories,
         std::span<const uint32_t> fused, std::span<const uint32_t> cuts);
  ~OpList();

  /// Whether a memory of the list has been freed since.
  bool memory_released() const;

  size_t segments() const { return segments_.size(); }

  /// Enqueues a segment and returns its ticket of the compute stream. The first one uploads the step, with which the others
  /// are called as well. Throws std::invalid_argument for a step out of bounds.
  uint64_t run(std::span<const uint32_t> words, size_t segment);

  /// A pass whose token the device draws, and the read of what it was drawn from.
  struct Drawn {
    uint64_t ticket;
    Engine::Read candidates;
  };
  /// Enqueues a draw from `candidates` (OutputHeader, Candidates: `bytes`), their read, and the pass of the token. The step has one
  /// row. Throws std::invalid_argument for a step out of bounds, and for a list of several segments.
  Drawn run_drawn(std::span<const uint32_t> words, uint8_t* candidates, size_t bytes, const Sampling& sampling);

  /// Enqueues a pass with events around each launch. When it has completed, timings() tells what they said.
  uint64_t profile(std::span<const uint32_t> words);
  std::vector<Timing> timings();

 private:
  /// Passes of one list that may be on their way at once.
  static constexpr size_t kStages = 16;
  /// Places in the ring behind those, for passes that are enqueued ahead.
  static constexpr size_t kNextStages = 2;
  /// Launches [first, end) with the graphs of them.
  struct Segment {
    size_t first = 0, end = 0;
    Graphs graphs;
  };
  void add_launches(const std::vector<RecordedOp>& ops, std::span<const uint32_t> fused);
  void cut(std::span<const uint32_t> cuts);
  void check_launches() const;
  void allocate();
  uint32_t most_rows(const Launch& launch) const;
  /// Enqueues the launches of a segment and returns its ticket.
  uint64_t run_segment(const StepParts& step, Segment& segment);
  /// The step on its way to the device.
  void upload(const StepParts& step);
  /// Where the bytes of a step lie before they are uploaded.
  uint8_t* stage_of(size_t stage) const { return staging_->data() + stage * (staging_->bytes() / (kStages + kNextStages)); }
  void stage(const StepParts& step, size_t stage) const;
  size_t step_bytes(const StepParts& step) const;
  /// The ticket of the pass, if it has been enqueued ahead: its step is on its way then.
  std::optional<uint64_t> run_ahead(const StepParts& step);
  void enqueue_next() override;
  /// Remembers the step; proposes to enqueue the next pass if it goes on from the one before.
  void propose_next(const StepParts& step);
  Pass pass_of(const StepParts& step) const;
  /// Whether anything is launched for it in this pass.
  bool is_wanted(const Launch& launch, const Pass& pass) const;
  void launch(const Launch& launch, const Pass& pass) const;

  std::shared_ptr<Engine> engine_;
  Memories memories_;
  StepLimits limits_{};
  std::vector<Launch> launches_;
  std::unique_ptr<Block> scratch_;
  /// StepOutputs, then StepRows, on the device; and a ring of them on the host, from which passes are uploaded.
  std::unique_ptr<Block> step_, staging_;
  std::vector<uint64_t> staged_;  // tickets of the last pass of each place in the ring
  size_t current_stage_ = 0, next_stage_ = kStages;
  /// The pass that is enqueued ahead: what its step has to be like, and where it has to be put.
  struct Next {
    PassShape shape;
    size_t stage;
    uint64_t ticket;
  };
  std::optional<Next> next_;
  /// Of the last pass, where it had few rows.
  StepHeader last_header_{};
  std::vector<StepRow> last_rows_, next_rows_;
  std::vector<StepOutput> last_outputs_;
  std::vector<Segment> segments_;
  std::optional<Hold> hold_;         // of profiled passes
  std::vector<bool> profiled_;       // launches of the profiled pass
  std::vector<cudaEvent_t> events_;  // one before each launch and one at the end
};

}  // namespace ntx::cuda
