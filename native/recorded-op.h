// The ops of native/ops.h with their ranges resolved to pointers: what OpDecoder gives, and what the kernels of native/host
// and native/cuda take. Pointers are the device's: OpDecoder never follows them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops.h"

namespace ntx {

/// ggml's numbers of the tensor types (src/gguf/types.ts).
enum class Type : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8,
  q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30,
};

/// Weights and bytes of one block; {0, 0} for a type that is not ours.
struct BlockSize { uint32_t weights, bytes; };
constexpr BlockSize block_size(Type type) {
  switch (type) {
    case Type::f32: return {1, 4};
    case Type::f16:
    case Type::bf16: return {1, 2};
    case Type::q4_0: return {32, 18};
    case Type::q4_1: return {32, 20};
    case Type::q5_0: return {32, 22};
    case Type::q5_1: return {32, 24};
    case Type::q8_0: return {32, 34};
    case Type::q2_k: return {256, 84};
    case Type::q3_k: return {256, 110};
    case Type::q4_k: return {256, 144};
    case Type::q5_k: return {256, 176};
    case Type::q6_k: return {256, 210};
  }
  return {0, 0};
}

/// The widest head that rope_kv_write takes; real ones have at most 576 values.
constexpr int64_t kMaxHeadDim = 1024;

/// `rows` rows of `cols` weights in GGUF's own bytes, row after row; cols is a multiple of the block. 32-byte aligned at least.
struct Matrix {
  Type type;
  int64_t rows, cols;
  const uint8_t* data;
};

struct Embed { Matrix table; float* out; };

struct RmsNorm { const float *in, *weight; float* out; int64_t width; float eps; bool select_outputs; };

struct Product { Matrix weight; const float* bias; float* out; };  // out is f32 [row][weight.rows]; bias may be null
struct Matmul {
  const float* in;  // f32 [row][cols]; all parts have the same cols
  int parts;
  Product part[3];
  bool accumulate, outputs;
  uint8_t* scratch;  // what the kernels of a device ask for; shared by all ops of a list
};
struct GatedMatmul {
  const float* in;
  Matrix gate, up;
  float* out;
  uint8_t* scratch;
};

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

struct Attention {
  const float* q;
  const uint16_t *k_cache, *v_cache;
  float* out;
  int64_t heads, kv_heads, head_dim, context, window;
  float scale;
  uint8_t* scratch;
};

struct TopK { const float* in; uint8_t* out; int64_t width, k; uint8_t* scratch; };

struct RecordedOp {
  OpKind kind;
  union {
    Embed embed;
    RmsNorm rms_norm;
    Matmul matmul;
    GatedMatmul gated_matmul;
    RopeKvWrite rope_kv_write;
    Attention attention;
    TopK top_k;
  };
};

}  // namespace ntx
