#include "op-decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace ntx {

namespace {

constexpr uint64_t kWeightAlignment = 32;
constexpr uint64_t kTooMuch = UINT64_MAX;

/// The product, or kTooMuch where it does not fit: no memory is that large, so the check that follows refuses it.
uint64_t product(std::initializer_list<uint64_t> factors) {
  uint64_t result = 1;
  for (const uint64_t factor : factors) {
    if (__builtin_mul_overflow(result, factor, &result)) return kTooMuch;
  }
  return result;
}

const char* name_of(OpKind kind) {
  switch (kind) {
    case OpKind::embed: return "embed";
    case OpKind::rms_norm: return "rms-norm";
    case OpKind::matmul: return "matmul";
    case OpKind::gated_matmul: return "gated-matmul";
    case OpKind::rope_kv_write: return "rope-kv-write";
    case OpKind::attention: return "attention";
    case OpKind::top_k: return "top-k";
  }
  return "unknown";
}

}  // namespace

OpDecoder::OpDecoder(std::span<const uint8_t> bytes, std::vector<MemoryBytes> memories)
    : bytes_(bytes), memories_(std::move(memories)), where_("op list") {
  require(bytes_.size() >= sizeof header_, "shorter than its header");
  std::memcpy(&header_, bytes_.data(), sizeof header_);
  require(header_.magic == kOpsMagic && header_.version == kOpsVersion, "not an op list of this version");
  const uint64_t expected =
      sizeof header_ + product({header_.ranges, sizeof(Range)}) + product({header_.ops, sizeof(OpRecord)});
  require(bytes_.size() == expected, "its length does not match its counts of ranges and ops");
  require(header_.max_rows > 0 && header_.slots > 0 && header_.context > 0,
          "rows, slots and context must be at least 1");
  limits_ = {header_.max_rows, header_.max_outputs, header_.slots, header_.context};
}

std::vector<RecordedOp> OpDecoder::decode() {
  ranges_.resize(header_.ranges);
  const uint8_t* at = bytes_.data() + sizeof header_;
  if (!ranges_.empty()) std::memcpy(ranges_.data(), at, ranges_.size() * sizeof(Range));
  for (size_t i = 0; i < ranges_.size(); ++i) {
    const Range& range = ranges_[i];
    where_ = "range " + std::to_string(i);
    require(range.memory < memories_.size(), "names a memory that was not given");
    const uint64_t size = memories_[range.memory].bytes;
    require(range.offset <= size && range.bytes <= size - range.offset, "exceeds its memory");
  }
  at += ranges_.size() * sizeof(Range);
  std::vector<RecordedOp> ops;
  ops.reserve(header_.ops);
  for (uint32_t i = 0; i < header_.ops; ++i, at += sizeof(OpRecord)) {
    OpRecord record;
    std::memcpy(&record, at, sizeof record);
    where_ = "op " + std::to_string(i) + " (" + name_of(record.kind) + ")";
    ops.push_back(decode_op(record));
  }
  return ops;
}

RecordedOp OpDecoder::decode_op(const OpRecord& record) {
  RecordedOp op{};
  op.kind = record.kind;
  switch (record.kind) {
    case OpKind::embed: op.embed = decode(record.embed); return op;
    case OpKind::rms_norm: op.rms_norm = decode(record.rms_norm); return op;
    case OpKind::matmul: op.matmul = decode(record.matmul); return op;
    case OpKind::gated_matmul: op.gated_matmul = decode(record.gated_matmul); return op;
    case OpKind::rope_kv_write: op.rope_kv_write = decode(record.rope_kv_write); return op;
    case OpKind::attention: op.attention = decode(record.attention); return op;
    case OpKind::top_k: op.top_k = decode(record.top_k); return op;
  }
  refuse("its kind, " + std::to_string(static_cast<uint32_t>(record.kind)) + ", is not known");
}

Embed OpDecoder::decode(const EmbedOp& op) {
  const Matrix table = matrix(op.table, "table");
  limits_.tokens = std::min(limits_.tokens, op.table.rows);
  return {table, floats(op.out_range, {header_.max_rows, op.table.cols}, "out")};
}

RmsNorm OpDecoder::decode(const RmsNormOp& op) {
  const bool select = flag(op.select_outputs, "select_outputs");
  require(op.width > 0, "its width is 0");
  require(std::isfinite(op.eps) && op.eps >= 0, "its epsilon is not a number of at least 0");
  return {floats(op.in_range, {header_.max_rows, op.width}, "input"),
          floats(op.weight_range, {op.width}, "weight"),
          floats(op.out_range, {select ? header_.max_outputs : header_.max_rows, op.width}, "out"),
          op.width,
          op.eps,
          select};
}

Matmul OpDecoder::decode(const MatmulOp& op) {
  require(op.parts >= 1 && op.parts <= 3, "it has not 1 to 3 parts");
  Matmul result{};
  result.accumulate = flag(op.accumulate, "accumulate");
  result.outputs = flag(op.outputs, "outputs");
  const uint32_t rows = result.outputs ? header_.max_outputs : header_.max_rows, cols = op.part[0].weight.cols;
  result.in = floats(op.in_range, {rows, cols}, "input");
  result.parts = static_cast<int>(op.parts);
  for (uint32_t i = 0; i < op.parts; ++i) {
    const MatmulPart& part = op.part[i];
    require(part.weight.cols == cols, "its weights differ in their columns");
    result.part[i] = {matrix(part.weight, "weight"), optional_floats(part.bias_range, {part.weight.rows}, "bias"),
                      floats(part.out_range, {rows, part.weight.rows}, "out")};
  }
  return result;
}

GatedMatmul OpDecoder::decode(const GatedMatmulOp& op) {
  require(op.activation == 0, "its activation is not known");
  require(op.gate.rows == op.up.rows && op.gate.cols == op.up.cols, "gate and up differ in shape");
  const GatedMatmul result{floats(op.in_range, {header_.max_rows, op.gate.cols}, "input"), matrix(op.gate, "gate"),
                           matrix(op.up, "up"), floats(op.out_range, {header_.max_rows, op.gate.rows}, "out"), nullptr};
  return result;
}

RopeKvWrite OpDecoder::decode(const RopeKvWriteOp& op) {
  check_heads(op.heads, op.kv_heads, op.head_dim);
  require(op.head_dim <= kMaxHeadDim, "its heads are wider than 1024");
  require(op.rope_dim % 2 == 0 && op.rope_dim <= op.head_dim, "its rotated width is odd or wider than a head");
  require(std::isfinite(op.eps) && op.eps >= 0, "its epsilon is not a number of at least 0");
  const uint32_t rows = header_.max_rows;
  return {floats(op.q_range, {rows, op.heads, op.head_dim}, "q"),
          floats(op.k_range, {rows, op.kv_heads, op.head_dim}, "k"),
          floats(op.v_range, {rows, op.kv_heads, op.head_dim}, "v"),
          cache(op.k_cache_range, op.kv_heads, op.head_dim, "k cache"),
          cache(op.v_cache_range, op.kv_heads, op.head_dim, "v cache"),
          floats(op.table_range, {header_.context, op.rope_dim}, "table"),
          optional_floats(op.q_norm_range, {op.head_dim}, "q norm"),
          optional_floats(op.k_norm_range, {op.head_dim}, "k norm"),
          op.heads,
          op.kv_heads,
          op.head_dim,
          op.rope_dim,
          header_.context,
          flag(op.neox, "neox"),
          op.eps};
}

Attention OpDecoder::decode(const AttentionOp& op) {
  check_heads(op.heads, op.kv_heads, op.head_dim);
  require(std::isfinite(op.scale) && op.scale > 0, "its scale is not a positive number");
  const std::initializer_list<uint64_t> shape{header_.max_rows, op.heads, op.head_dim};
  const Attention result{floats(op.q_range, shape, "q"),
                         cache(op.k_cache_range, op.kv_heads, op.head_dim, "k cache"),
                         cache(op.v_cache_range, op.kv_heads, op.head_dim, "v cache"),
                         floats(op.out_range, shape, "out"),
                         op.heads,
                         op.kv_heads,
                         op.head_dim,
                         header_.context,
                         op.window,
                         op.scale,
                         nullptr};
  return result;
}

TopK OpDecoder::decode(const TopKOp& op) {
  require(op.width > 0 && op.k > 0, "its width or k is 0");
  const uint64_t outputs = std::max(1u, header_.max_outputs);
  const float* in = floats(op.in_range, {outputs, op.width}, "input");
  uint8_t* out = resolve(op.out_range, product({outputs, sizeof(OutputHeader) + op.k * sizeof(Candidate)}), 4, "out");
  limits_.targets = std::min(limits_.targets, op.width);
  return {in, out, op.width, op.k, nullptr};
}

void OpDecoder::refuse(const std::string& why) const { throw std::invalid_argument(where_ + ": " + why); }

void OpDecoder::require(bool holds, const char* what) const {
  if (!holds) refuse(what);
}

uint8_t* OpDecoder::resolve(uint32_t index, uint64_t bytes, uint64_t alignment, const char* what) const {
  if (index >= ranges_.size()) refuse(std::string(what) + " has no range");
  const Range& range = ranges_[index];
  if (range.bytes < bytes) {
    const std::string expected =
        bytes == kTooMuch ? "more than any memory has" : "at least " + std::to_string(bytes) + " bytes";
    refuse(std::string(what) + ": expected " + expected + ", got " + std::to_string(range.bytes));
  }
  if (range.offset % alignment != 0) {
    refuse(std::string(what) + ": offset " + std::to_string(range.offset) + " is not a multiple of " +
           std::to_string(alignment));
  }
  return memories_[range.memory].data + range.offset;
}

float* OpDecoder::floats(uint32_t range, std::initializer_list<uint64_t> shape, const char* what) const {
  return reinterpret_cast<float*>(resolve(range, product({product(shape), sizeof(float)}), sizeof(float), what));
}

float* OpDecoder::optional_floats(uint32_t range, std::initializer_list<uint64_t> shape, const char* what) const {
  return range == kNone ? nullptr : floats(range, shape, what);
}

uint16_t* OpDecoder::cache(uint32_t range, uint64_t kv_heads, uint64_t head_dim, const char* what) const {
  const uint64_t bytes = product({header_.slots, kv_heads, header_.context, head_dim, sizeof(uint16_t)});
  return reinterpret_cast<uint16_t*>(resolve(range, bytes, sizeof(uint16_t), what));
}

Matrix OpDecoder::matrix(const WeightRef& weight, const char* what) const {
  const Type type = static_cast<Type>(weight.type);
  const BlockSize block = block_size(type);
  if (block.weights == 0) refuse(std::string(what) + ": tensor type " + std::to_string(weight.type) + " is not known");
  if (weight.rows == 0 || weight.cols == 0 || weight.cols % block.weights != 0) {
    refuse(std::string(what) + ": " + std::to_string(weight.rows) + " rows of " + std::to_string(weight.cols) +
           " weights are not whole blocks of " + std::to_string(block.weights));
  }
  const uint64_t bytes = product({weight.rows, weight.cols / block.weights, block.bytes});
  return {type, weight.rows, weight.cols, resolve(weight.range, bytes, kWeightAlignment, what)};
}

bool OpDecoder::flag(uint32_t word, const char* what) const {
  if (word > 1) refuse(std::string(what) + " is neither 0 nor 1");
  return word == 1;
}

void OpDecoder::check_heads(uint32_t heads, uint32_t kv_heads, uint32_t head_dim) const {
  require(heads > 0 && kv_heads > 0 && head_dim > 0, "its heads, kv heads or head width is 0");
  require(heads % kv_heads == 0, "its heads are not a multiple of its kv heads");
}

}  // namespace ntx
