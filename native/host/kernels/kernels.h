// The ops of native/ops.h with their ranges resolved to pointers: what recording produces and workers execute. Every
// kernel is called by all workers of a pass with the same arguments, divides its work among them, and returns without a
// sync() at its end (the list's walker does that). A result depends on the arguments alone, never on the number of workers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../ops.h"
#include "../worker.h"

namespace ntx {

/// ggml's numbers of the tensor types (src/gguf/types.ts).
enum class Type : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8,
  q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30,
};

/// Weights and bytes of one block; {0, 0} for a type that is not ours.
struct BlockSize { uint32_t weights, bytes; };
BlockSize block_size(Type type);

/// `rows` rows of `cols` weights in GGUF's own bytes, row after row; cols is a multiple of the block. 32-byte aligned at least.
struct Matrix {
  Type type;
  int64_t rows, cols;
  const uint8_t* data;
};

/// A pass's step buffer (native/ops.h).
struct Step {
  const StepHeader* header;
  const StepRow* rows;
  const StepOutput* outputs;
};

/// Decodes `cols` weights of one row of any type to f32.
void decode_row(Type type, const uint8_t* row, int64_t cols, float* out);

struct Embed { Matrix table; float* out; };
void embed(Worker& worker, const Embed& op, const Step& step);

struct RmsNorm { const float *in, *weight; float* out; int64_t width; float eps; bool select_outputs; };
void rms_norm(Worker& worker, const RmsNorm& op, const Step& step);

struct Product { Matrix weight; const float* bias; float* out; };  // out is f32 [row][weight.rows]; bias may be null
struct Matmul {
  const float* in;  // f32 [row][cols]; all parts have the same cols
  int parts;
  Product part[3];
  bool accumulate, outputs;
  uint8_t* scratch;  // matmul_scratch_bytes(cols, max rows), 64-byte aligned; shared by all matmuls of a list
};
struct GatedMatmul {
  const float* in;
  Matrix gate, up;
  float* out;
  uint8_t* scratch;
};
/// Bytes of scratch that matmul and gated_matmul need for `rows` activation rows of `cols` values.
size_t matmul_scratch_bytes(int64_t cols, int64_t rows, unsigned workers);
void matmul(Worker& worker, const Matmul& op, const Step& step);
void gated_matmul(Worker& worker, const GatedMatmul& op, const Step& step);

struct RopeKvWrite {
  float *q, *k;
  const float* v;
  uint16_t *k_cache, *v_cache;  // f16 [slot][kv head][position][head_dim]
  const float* table;           // f32 [context][rope_dim / 2][cos, sin]
  const float *q_norm, *k_norm; // f32 [head_dim] or null
  int64_t heads, kv_heads, head_dim, rope_dim, context;
  bool neox;
  float eps;
};
void rope_kv_write(Worker& worker, const RopeKvWrite& op, const Step& step);

struct Attention {
  const float* q;
  const uint16_t *k_cache, *v_cache;
  float* out;
  int64_t heads, kv_heads, head_dim, context, window;
  float scale;
  uint8_t* scratch;
};
size_t attention_scratch_bytes(int64_t heads, int64_t head_dim, int64_t context, int64_t rows, unsigned workers);
void attention(Worker& worker, const Attention& op, const Step& step);

struct TopK { const float* in; uint8_t* out; int64_t width, k; uint8_t* scratch; };
size_t top_k_scratch_bytes(int64_t width, int64_t k, unsigned workers);
void top_k(Worker& worker, const TopK& op, const Step& step);

}  // namespace ntx
