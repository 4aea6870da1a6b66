// The binary form of a recorded op list, shared by native/host and native/cuda; src/backend/encode-ops.ts writes it.
// Little-endian, no padding: a Header, `ranges` Ranges, `ops` OpRecords of kOpWords words. Every field is a 32-bit word
// unless it says otherwise. A field named *_range indexes the range table; kNone means absent.
//
// Activations are f32, row-major [row][width]; a row is one token of one sequence. Row counts and everything else that
// changes between passes come from the step buffer, so that a list stays valid.
#pragma once

#include <cstdint>

namespace ntx {

constexpr uint32_t kOpsMagic = 0x4f58544e;  // "NTXO"
constexpr uint32_t kOpsVersion = 1;
constexpr uint32_t kOpWords = 32;
constexpr uint32_t kNone = 0xffffffff;

struct Header {
  uint32_t magic, version;
  uint32_t ranges, ops;
  uint32_t max_rows, max_outputs;  // bounds of the step buffers that the list will be replayed with
  uint32_t slots, context;         // KV cache: sequence slots, positions per slot
};

/// Bytes of one of the memories that record() was given.
struct Range {
  uint32_t memory, reserved;
  uint64_t offset, bytes;
};

/// A matrix in GGUF's own bytes: `rows` rows of `cols` weights of ggml type `type`, row after row.
struct WeightRef {
  uint32_t type, rows, cols, range;
};

enum class OpKind : uint32_t {
  embed = 1,
  rms_norm = 2,
  matmul = 3,
  gated_matmul = 4,
  rope_kv_write = 5,
  attention = 6,
  top_k = 7,
};

/// out[r] = decode(table[token[r]])
struct EmbedOp {
  WeightRef table;
  uint32_t out_range;
};

/// out[r][i] = in[r'][i] / sqrt(mean(in[r']^2) + eps) * weight[i]; r' = r, or the row of output r when select_outputs.
struct RmsNormOp {
  uint32_t in_range, weight_range, out_range;
  uint32_t width;
  float eps;
  uint32_t select_outputs;
};

/// out[r][n] (+)= sum_k in[r][k] * weight[n][k] + bias[n]
struct MatmulPart {
  WeightRef weight;
  uint32_t bias_range, out_range;
};

/// Up to three products of one input. `accumulate`: adds to what out holds (the residual). `outputs`: rows are the
/// step's outputs instead of its rows.
struct MatmulOp {
  uint32_t in_range;
  uint32_t parts;
  uint32_t accumulate;
  uint32_t outputs;
  MatmulPart part[3];
};

/// out[r][n] = silu(sum_k in[r][k] * gate[n][k]) * sum_k in[r][k] * up[n][k]
struct GatedMatmulOp {
  uint32_t in_range, out_range;
  uint32_t activation;  // 0: silu
  WeightRef gate, up;
};

/// q, k: optional RMS norm of each head (weights f32[head_dim]), then rotation of the first rope_dim values of each head by
/// table[position][i] = (cos, sin), f32 [context][rope_dim / 2][2]. Pairs are (2i, 2i + 1) when `neox` is 0 and
/// (i, i + rope_dim / 2) when it is 1. q is rotated in place; k and v go to the caches as f16
/// [slot][kv head][position][head_dim], round to nearest even.
struct RopeKvWriteOp {
  uint32_t q_range, k_range, v_range;
  uint32_t k_cache_range, v_cache_range;
  uint32_t table_range;
  uint32_t q_norm_range, k_norm_range;
  uint32_t heads, kv_heads, head_dim, rope_dim;
  uint32_t neox;
  float eps;
};

/// out[r][h] = softmax(q[r][h] . K[slot][h / (heads / kv_heads)][0..position] * scale) V; with `window` > 0 only the last
/// `window` positions, the row's own included.
struct AttentionOp {
  uint32_t q_range, k_cache_range, v_cache_range, out_range;
  uint32_t heads, kv_heads, head_dim;
  float scale;
  uint32_t window;
};

/// For each output the `k` largest logits, descending, ties by the lower token, with the log-sum-exp over all `width`.
struct TopKOp {
  uint32_t in_range, out_range;
  uint32_t width, k;
};

struct OpRecord {
  OpKind kind;
  union {
    EmbedOp embed;
    RmsNormOp rms_norm;
    MatmulOp matmul;
    GatedMatmulOp gated_matmul;
    RopeKvWriteOp rope_kv_write;
    AttentionOp attention;
    TopKOp top_k;
    uint32_t words[kOpWords - 1];
  };
};
static_assert(sizeof(OpRecord) == kOpWords * 4);

/// The step buffer: StepHeader, then max_rows StepRows, then max_outputs StepOutputs (src/backend/step.ts).
struct StepHeader {
  uint32_t rows, outputs, reserved0, reserved1;
};
struct StepRow {
  uint32_t token, position, slot, reserved;
};
struct StepOutput {
  uint32_t row;     // which row's logits
  uint32_t target;  // token whose logit comes back as target_logit (perplexity, verification), or kNone
};

/// What top_k writes for each output: this, then k Candidates.
struct OutputHeader {
  float log_sum_exp, target_logit;  // target_logit is 0 without a target
  uint32_t count;                   // min(k, width)
  uint32_t drawn;                   // 0; or 1 + the token that the device has drawn of them, behind top_k
};
struct Candidate {
  uint32_t token;
  float logit;
};

}  // namespace ntx
