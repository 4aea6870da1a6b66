#include "op-list.h"

#include <algorithm>
#include <ranges>
#include <cstring>
#include <string>
#include <utility>

namespace ntx::cuda {

namespace {

constexpr uint32_t kMaxRows = 65535;  // CUDA's limit of grid dimensions other than the first
constexpr size_t kAlignment = 256;
/// Passes of more rows are prompts, which are not followed by their like.
constexpr size_t kRepeatedRows = 64;

size_t round_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Of overloads, the one of a variant's alternative.
template <class... Functions>
struct Visit : Functions... {
  using Functions::operator()...;
};

PassShape shape_of(const StepParts& step) { return {step.header.rows, step.header.outputs, plan_attention(step)}; }

ProductPart part_of(const Matrix& weight, const float* bias, float* out) {
  return {static_cast<int>(weight.type), weight.data, bias, out, static_cast<uint32_t>(weight.rows)};
}

Product product_of(const Matmul& op) {
  Product product{};
  product.input = op.in;
  product.cols = static_cast<uint32_t>(op.part[0].weight.cols);
  product.kind = op.accumulate ? ProductKind::accumulate : ProductKind::store;
  product.part_count = static_cast<uint32_t>(op.parts);
  for (int i = 0; i < op.parts; ++i) product.parts[i] = part_of(op.part[i].weight, op.part[i].bias, op.part[i].out);
  return product;
}

Product product_of(const GatedMatmul& op) {
  Product product{};
  product.input = op.in;
  product.cols = static_cast<uint32_t>(op.gate.cols);
  product.kind = ProductKind::gated;
  product.part_count = 2;
  product.parts[0] = part_of(op.gate, nullptr, op.out);
  product.parts[1] = part_of(op.up, nullptr, nullptr);
  return product;
}

Launch launch_of(uint32_t index, const RecordedOp& op) {
  switch (op.kind) {
    case OpKind::embed: return {index, op.embed};
    case OpKind::rms_norm: return {index, op.rms_norm};
    case OpKind::matmul: return {index, product_of(op.matmul), op.matmul.outputs};
    case OpKind::gated_matmul: return {index, product_of(op.gated_matmul)};
    case OpKind::rope_kv_write: return {index, op.rope_kv_write};
    case OpKind::attention: return {index, Attend{op.attention, std::nullopt}};
    case OpKind::top_k: return {index, op.top_k};
  }
  throw std::invalid_argument("op " + std::to_string(index) + ": its kind is not known");
}

[[noreturn]] void refuse_fusion(const Launch& launch, const char* why) {
  throw std::invalid_argument("op " + std::to_string(launch.op) + ": the op in front cannot be part of it: " + why);
}

/// Puts the norm in front of the product.
void fuse(const RmsNorm& norm, Launch& launch) {
  auto* product = std::get_if<Product>(&launch.kernel);
  if (product == nullptr) refuse_fusion(launch, "it is not a product");
  if (product->input != norm.out || product->cols != norm.width || norm.select_outputs || launch.outputs) {
    refuse_fusion(launch, "the norm is not that of its input");
  }
  product->input = norm.in;
  product->norm = norm.weight;
  product->norm_eps = norm.eps;
}

void fuse(const RopeKvWrite& rope, Launch& launch) {
  auto* attend = std::get_if<Attend>(&launch.kernel);
  if (attend == nullptr) refuse_fusion(launch, "it is not attention");
  const Attention& op = attend->op;
  if (op.q != rope.q || op.k_cache != rope.k_cache || op.v_cache != rope.v_cache || op.heads != rope.heads ||
      op.kv_heads != rope.kv_heads || op.head_dim != rope.head_dim) {
    refuse_fusion(launch, "its operands are others");
  }
  attend->rope = rope;
}

}  // namespace

OpList::OpList(std::shared_ptr<Engine> engine, std::span<const uint8_t> bytes, Memories memories,
               std::span<const uint32_t> fused, std::span<const uint32_t> cuts)
    : engine_(std::move(engine)), memories_(std::move(memories)), segments_(cuts.size() + 1) {
  std::vector<MemoryBytes> ranges;
  for (const auto& memory : memories_) ranges.push_back({memory->data(), memory->bytes()});
  OpDecoder decoder(bytes, std::move(ranges));
  const std::vector<RecordedOp> ops = decoder.decode();
  limits_ = decoder.limits();
  if (limits_.rows > kMaxRows || limits_.outputs > kMaxRows) {
    throw std::invalid_argument("passes of more than " + std::to_string(kMaxRows) + " rows");
  }
  add_launches(ops, fused);
  cut(cuts);
  check_launches();
  allocate();
}

OpList::~OpList() {
  engine_->drain();
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

void OpList::add_launches(const std::vector<RecordedOp>& ops, std::span<const uint32_t> fused) {
  for (uint32_t i = 0; i < ops.size(); ++i) {
    const bool behind_attention = !launches_.empty() && std::holds_alternative<Attend>(launches_.back().kernel);
    launches_.push_back(launch_of(i, ops[i]));
    if (auto* product = std::get_if<Product>(&launches_.back().kernel)) product->behind_attention = behind_attention;
    if (i == 0 || std::find(fused.begin(), fused.end(), i - 1) == fused.end()) continue;
    Launch& before = launches_[launches_.size() - 2];
    if (const auto* norm = std::get_if<RmsNorm>(&before.kernel)) {
      fuse(*norm, launches_.back());
      launches_.erase(launches_.end() - 2);
    } else if (const auto* rope = std::get_if<RopeKvWrite>(&before.kernel)) {
      fuse(*rope, launches_.back());
      before.in_next = true;
    } else {
      throw std::invalid_argument("op " + std::to_string(i - 1) + ": never part of another op");
    }
  }
}

void OpList::cut(std::span<const uint32_t> cuts) {
  for (size_t i = 0; i < cuts.size(); ++i) {
    const auto at = std::find_if(launches_.begin(), launches_.end(), [&](const Launch& each) { return each.op >= cuts[i]; });
    segments_[i].end = segments_[i + 1].first = static_cast<size_t>(at - launches_.begin());
    if (segments_[i].end < segments_[i].first) throw std::invalid_argument("cuts: they do not ascend");
  }
  segments_.back().end = launches_.size();
}

void OpList::check_launches() const {
  for (const Launch& launch : launches_) {
    std::visit(Visit{[](const Attend& attend) { check_attention(attend.op); }, [](const TopK& op) { check_top_k(op); },
                     [](const auto&) {}},
               launch.kernel);
  }
}

uint32_t OpList::most_rows(const Launch& launch) const { return launch.outputs ? limits_.outputs : limits_.rows; }

/// One scratch for all launches, since they run one after the other; attention's tickets alone have to stay as they are.
void OpList::allocate() {
  size_t shared = 0, attention = 0;
  for (const Launch& launch : launches_) {
    std::visit(Visit{[&](Product product) {
                       // Kernels differ with the number of rows, and so does what they ask for.
                       for (product.rows = 1; product.rows <= most_rows(launch); ++product.rows) {
                         shared = std::max(shared, product_scratch_bytes(product));
                       }
                     },
                     [&](const Attend& attend) {
                       attention = std::max(attention, attention_scratch_bytes(attend.op, limits_.rows));
                     },
                     [&](const TopK& op) { shared = std::max(shared, top_k_scratch_bytes(op, limits_.outputs)); },
                     [](const auto&) {}},
               launch.kernel);
  }
  scratch_ = std::make_unique<Block>(engine_, round_up(attention) + shared, Block::Kind::device);
  uint8_t* after = scratch_->data() + round_up(attention);
  for (Launch& launch : launches_) {
    std::visit(Visit{[&](Product& product) { product.scratch = after; }, [&](TopK& op) { op.scratch = after; },
                     [&](Attend& attend) { attend.op.scratch = scratch_->data(); }, [](auto&) {}},
               launch.kernel);
  }
  const size_t step = size_t{limits_.outputs} * sizeof(StepOutput) + size_t{limits_.rows} * sizeof(StepRow);
  step_ = std::make_unique<Block>(engine_, step, Block::Kind::device);
  staging_ = std::make_unique<Block>(engine_, (kStages + kNextStages) * round_up(step), Block::Kind::pinned);
  staged_.assign(kStages + kNextStages, 0);
}

bool OpList::memory_released() const {
  return std::any_of(memories_.begin(), memories_.end(), [](const auto& memory) { return memory->released(); });
}

void OpList::upload(const StepParts& step) {
  const size_t next = (current_stage_ + 1) % kStages;
  engine_->block(StreamName::compute, staged_[next]);
  stage(step, next);
  engine_->upload(stage_of(next), step_->data(), step_bytes(step));
  current_stage_ = next;
}

void OpList::stage(const StepParts& step, size_t stage) const {
  std::memcpy(stage_of(stage), step.outputs.data(), step.outputs.size_bytes());
  std::memcpy(stage_of(stage) + size_t{limits_.outputs} * sizeof(StepOutput), step.rows.data(), step.rows.size_bytes());
}

size_t OpList::step_bytes(const StepParts& step) const {
  return size_t{limits_.outputs} * sizeof(StepOutput) + step.rows.size_bytes();
}

Pass OpList::pass_of(const StepParts& step) const {
  const auto* outputs = reinterpret_cast<const StepOutput*>(step_->data());
  const auto* rows = reinterpret_cast<const StepRow*>(outputs + limits_.outputs);
  return {engine_->compute(), engine_->traits(), step.header.rows, step.header.outputs, plan_attention(step), rows, outputs};
}

bool OpList::is_wanted(const Launch& launch, const Pass& pass) const {
  return !(launch.in_next && pass.attention.alone);
}

void OpList::launch(const Launch& launch, const Pass& pass) const {
  if (!is_wanted(launch, pass)) return;
  std::visit(Visit{[&](const Embed& op) { launch_embed(op, pass); },
                   [&](const RmsNorm& op) { launch_rms_norm(op, pass); },
                   [&](Product product) {
                     product.rows = launch.outputs ? pass.outputs : pass.rows;
                     if (product.rows > 0) launch_product(product, pass.traits, pass.stream);
                   },
                   [&](const RopeKvWrite& op) { launch_rope_kv_write(op, pass); },
                   [&](const Attend& attend) {
                     const bool rotates = attend.rope && pass.attention.alone;
                     launch_attention(attend.op, rotates ? &*attend.rope : nullptr, pass);
                   },
                   [&](const TopK& op) { launch_top_k(op, pass); }},
             launch.kernel);
}

std::optional<uint64_t> OpList::run_ahead(const StepParts& step) {
  const auto next = std::exchange(next_, std::nullopt);
  if (!next || next->shape != shape_of(step) || !engine_->ahead().take(this)) return std::nullopt;
  stage(step, next->stage);
  engine_->ahead().open();
  return next->ticket;
}

void OpList::enqueue_next() {
  next_.reset();
  next_stage_ = kStages + (next_stage_ + 1) % kNextStages;
  const size_t stage = next_stage_;
  if (staged_[stage] > engine_->completed(StreamName::compute)) return;
  next_rows_ = last_rows_;
  for (StepRow& row : next_rows_) ++row.position;
  const PassShape shape = shape_of({last_header_, next_rows_, last_outputs_});
  const StepParts last{last_header_, last_rows_, last_outputs_};
  this->stage(last, stage);
  engine_->upload(stage_of(stage), step_->data(), step_bytes(last));
  if (!segments_.front().graphs.run_again(shape, engine_->compute())) return;
  next_ = {shape, stage, staged_[stage] = engine_->mark(StreamName::compute)};
  engine_->read_ahead();
}

void OpList::propose_next(const StepParts& step) {
  const auto follows = [](const StepRow& row, const StepRow& before) {
    return row.slot == before.slot && row.position == before.position + 1;
  };
  const auto same = [](const StepOutput& output, const StepOutput& before) { return output.row == before.row; };
  const bool goes_on = segments_.size() == 1 && std::ranges::equal(step.rows, last_rows_, follows) &&
                       std::ranges::equal(step.outputs, last_outputs_, same);
  engine_->ahead().propose(goes_on ? this : nullptr);
  const bool repeatable = step.rows.size() <= kRepeatedRows;
  last_header_ = step.header;
  last_rows_.assign(step.rows.begin(), repeatable ? step.rows.end() : step.rows.begin());
  last_outputs_.assign(step.outputs.begin(), step.outputs.end());
}

uint64_t OpList::run(std::span<const uint32_t> words, size_t segment) {
  const auto order = engine_->order();
  Segment& part = segments_.at(segment);
  const StepParts step = check_step(words, limits_);
  if (segment == 0) {
    const std::optional<uint64_t> ticket = run_ahead(step);
    engine_->keep_read_ahead(ticket.has_value());
    if (!ticket) {
      engine_->ahead().abandon();
      upload(step);
    }
    propose_next(step);
    if (ticket) return *ticket;
  }
  return run_segment(step, part);
}

uint64_t OpList::run_segment(const StepParts& step, Segment& segment) {
  const Pass pass = pass_of(step);
  if (pass.rows > 0 && segment.first < segment.end) {
    segment.graphs.run(shape_of(step), pass.stream, [&] {
      for (size_t i = segment.first; i < segment.end; ++i) launch(launches_[i], pass);
    });
  }
  return staged_[current_stage_] = engine_->mark(StreamName::compute);
}

OpList::Drawn OpList::run_drawn(std::span<const uint32_t> words, uint8_t* candidates, size_t bytes,
                                const Sampling& sampling) {
  const auto order = engine_->order();
  const StepParts step = check_step(words, limits_);
  if (step.rows.size() != 1 || segments_.size() != 1) throw std::invalid_argument("a drawn pass: not of one row, or cut");
  const bool are_tokens_there = sampling.tokens > 0 && sampling.tokens <= limits_.tokens;
  if (bytes < sizeof(OutputHeader) || sampling.recents > kMostRecent || !are_tokens_there) {
    throw std::invalid_argument("a drawn pass: no candidates, too many recent tokens, or tokens that the list has not");
  }
  engine_->ahead().abandon();
  // Nothing is like the pass before it any more: the next one is not put ahead.
  last_rows_.clear();
  last_outputs_.clear();
  upload(step);
  auto* row = reinterpret_cast<StepRow*>(step_->data() + size_t{limits_.outputs} * sizeof(StepOutput));
  const auto most = static_cast<uint32_t>((bytes - sizeof(OutputHeader)) / sizeof(Candidate));
  launch_sample(sampling, candidates, most, row, engine_->traits(), engine_->compute());
  const Engine::Read read = engine_->read_between(candidates, bytes);
  try {
    return {run_segment(step, segments_.front()), read};
  } catch (...) {
    engine_->release_read(read.buffer);  // nobody will
    throw;
  }
}

uint64_t OpList::profile(std::span<const uint32_t> words) {
  const auto order = engine_->order();
  engine_->ahead().abandon();
  const StepParts step = check_step(words, limits_);
  upload(step);
  const Pass pass = pass_of(step);
  while (events_.size() <= launches_.size()) {
    cudaEvent_t event = nullptr;
    NTX_CUDA(cudaEventCreate(&event));
    events_.push_back(event);
  }
  profiled_.assign(launches_.size(), false);
  // The device waits until all is enqueued: it would idle between launches, and the events would count that.
  if (!hold_) hold_.emplace();
  hold_->begin(pass.stream);
  for (size_t i = 0; i < launches_.size(); ++i) {
    NTX_CUDA(cudaEventRecord(events_[i], pass.stream));
    profiled_[i] = is_wanted(launches_[i], pass);
    launch(launches_[i], pass);
  }
  NTX_CUDA(cudaEventRecord(events_[launches_.size()], pass.stream));
  hold_->end();
  return staged_[current_stage_] = engine_->mark(StreamName::compute);
}

std::vector<Timing> OpList::timings() {
  if (events_.empty()) throw std::invalid_argument("the list has not been profiled");
  std::vector<Timing> timings;
  for (size_t i = 0; i < launches_.size(); ++i) {
    if (!profiled_[i]) continue;
    float milliseconds = 0;
    NTX_CUDA(cudaEventElapsedTime(&milliseconds, events_[i], events_[i + 1]));
    timings.push_back({launches_[i].op, milliseconds / 1000});
  }
  return timings;
}

}  // namespace ntx::cuda
