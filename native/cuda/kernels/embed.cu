// One thread block decodes a piece of one row. The table may lie in host memory, so its bytes are fetched once, 16 at a
// time, into shared memory.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels.h"
#include "launch.cuh"

namespace ntx::cuda {

namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kPiece = 1024;  // weights of one thread block, whole blocks of every type
constexpr uint32_t kAlign = 16;

__device__ float half_at(const uint8_t* bytes) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bytes[0] | bytes[1] << 8)));
}

__device__ float word_at(const uint8_t* bytes) {
  return __uint_as_float(bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24);
}

/// Blocks of 32: four bits of code i.
__device__ int nibble(const uint8_t* qs, int i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }
__device__ int fifth_bit(const uint8_t* qh, int i) { return (qh[i >> 3] >> (i & 7) & 1) << 4; }

/// Q4_K, Q5_K: scale and min of sub-block s out of twelve bytes of six bits each.
__device__ int six_bit_scale(const uint8_t* p, int s) {
  return s < 4 ? p[s] & 63 : (p[s + 4] & 15) | (p[s - 4] >> 6) << 4;
}
__device__ int six_bit_min(const uint8_t* p, int s) {
  return s < 4 ? p[s + 4] & 63 : p[s + 4] >> 4 | (p[s] >> 6) << 4;
}

__device__ float decode_q2_k(const uint8_t* p, int i) {
  const int s = i / 16, code = p[16 + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3;
  return half_at(p + 80) * (p[s] & 15) * code - half_at(p + 82) * (p[s] >> 4);
}

__device__ float decode_q3_k(const uint8_t* p, int i) {
  const int s = i / 16, third = p[i % 32] >> (i / 32) & 1;
  const int code = (p[32 + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4)) & 3) | third << 2;
  const int low = s < 8 ? p[96 + s] & 15 : p[96 + s - 8] >> 4, high = p[104 + s % 4] >> (2 * (s / 4)) & 3;
  return half_at(p + 108) * ((low | high << 4) - 32) * (code - 4);
}

/// Q4_K and, with the plane `qh` of fifth bits, Q5_K.
__device__ float decode_q45_k(const uint8_t* p, const uint8_t* qh, const uint8_t* qs, int i) {
  const int s = i / 32;
  int code = qs[32 * (i / 64) + i % 32] >> (4 * (s & 1)) & 15;
  if (qh != nullptr) code |= (qh[i % 32] >> s & 1) << 4;
  return half_at(p) * six_bit_scale(p + 4, s) * code - half_at(p + 2) * six_bit_min(p + 4, s);
}

__device__ float decode_q6_k(const uint8_t* p, int i) {
  const int s = i / 16, in_half = i % 128;
  const int low = p[64 * (i / 128) + in_half % 64] >> (4 * (in_half / 64)) & 15;
  const int high = p[128 + 32 * (i / 128) + i % 32] >> (2 * (in_half / 32)) & 3;
  return half_at(p + 208) * static_cast<int8_t>(p[192 + s]) * ((low | high << 4) - 32);
}

/// Weight i of the block at p.
__device__ float decode(Type type, const uint8_t* p, int i) {
  switch (type) {
    case Type::f32: return word_at(p);
    case Type::f16: return half_at(p);
    case Type::bf16: return __uint_as_float(static_cast<uint32_t>(p[0] | p[1] << 8) << 16);
    case Type::q4_0: return half_at(p) * (nibble(p + 2, i) - 8);
    case Type::q4_1: return half_at(p) * nibble(p + 4, i) + half_at(p + 2);
    case Type::q5_0: return half_at(p) * ((nibble(p + 6, i) | fifth_bit(p + 2, i)) - 16);
    case Type::q5_1: return half_at(p) * (nibble(p + 8, i) | fifth_bit(p + 4, i)) + half_at(p + 2);
    case Type::q8_0: return half_at(p) * static_cast<int8_t>(p[2 + i]);
    case Type::q2_k: return decode_q2_k(p, i);
    case Type::q3_k: return decode_q3_k(p, i);
    case Type::q4_k: return decode_q45_k(p, nullptr, p + 16, i);
    case Type::q5_k: return decode_q45_k(p, p + 16, p + 48, i);
    case Type::q6_k: return decode_q6_k(p, i);
  }
  return 0;
}

struct Table {
  const uint8_t* bytes;
  Type type;
  uint32_t cols;
  BlockSize block;
};

__global__ void __launch_bounds__(kThreads) embed(Table table, const StepRow* rows, float* out) {
  __shared__ uint4 staged[(kPiece * sizeof(float)) / kAlign + 2];
  wait_for_previous();
  let_next_begin();
  const uint32_t r = blockIdx.y, first = blockIdx.x * kPiece, count = min(kPiece, table.cols - first);
  const uint64_t row_bytes = static_cast<uint64_t>(table.cols) / table.block.weights * table.block.bytes;
  const uint8_t* from = table.bytes + rows[r].token * row_bytes + first / table.block.weights * table.block.bytes;
  const uint32_t before = reinterpret_cast<uintptr_t>(from) % kAlign;
  const uint32_t bytes = before + count / table.block.weights * table.block.bytes;
  // Memory is allocated in whole multiples of 256 bytes, so that rounding to 16 stays inside of it.
  const auto* aligned = reinterpret_cast<const uint4*>(from - before);
  for (uint32_t i = threadIdx.x; i * kAlign < bytes; i += kThreads) staged[i] = aligned[i];
  __syncthreads();
  const uint8_t* own = reinterpret_cast<const uint8_t*>(staged) + before;
  float* to = out + static_cast<uint64_t>(r) * table.cols + first;
  for (uint32_t i = threadIdx.x; i < count; i += kThreads) {
    to[i] = decode(table.type, own + i / table.block.weights * table.block.bytes, i % table.block.weights);
  }
}

}  // namespace

void launch_embed(const Embed& op, const Pass& pass) {
  if (pass.rows == 0) return;
  const auto cols = static_cast<uint32_t>(op.table.cols);
  const Table table{op.table.data, op.table.type, cols, block_size(op.table.type)};
  const dim3 grid((cols + kPiece - 1) / kPiece, pass.rows);
  launch(embed, pass.traits, pass.stream, grid, kThreads, 0, table, pass.step_rows, op.out);
}

}  // namespace ntx::cuda
