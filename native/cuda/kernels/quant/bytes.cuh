// How the decoders of quant/ read a block's bytes. Blocks lie in shared memory, where asynchronous copies have put them
// as they are in the file, so a block of 18, 34 or 210 bytes may start on any even address.
//
// A type's decoder is a struct of this form; a piece is 32 weights:
//   kBlock, kBytes   weights and bytes of a block
//   kSub             weights that share a scale: the block itself (32), or 16 or 32 of a K type's 256
//   kZero            what a code stands for is code - kZero
//   kHasMin          weight = scale * (code - kZero) - min, else without min
//   kAlign           every block starts on a multiple of so many bytes, as long as the matrix does on 16
//   code(block, s, i)       codes of weights 4i .. 4i + 3 of piece s, one a byte: signed for Q8_0, else 0 .. 63
//   codes(block, s, words)  all of piece s at once, where a type can load them in wider pieces
//   dot(block, s, values)   piece s times 32 int8, where that is sooner done without the codes
//   scale(block), min(block)             types of one scale a block
//   d(block), dmin(block), scale_word(block, half, i), min_word(block, half, i)
//                                        K types: weight = d * sub scale * code - dmin * sub min. Four scales (mins)
//                                        a word, one a byte, word i of the 128 weights `half`; kScaleBias is taken off
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

namespace ntx::cuda {

/** 4-byte words of bytes that start on any even address. Reads up to 3 bytes on either side of them. */
class EvenWords {
 public:
  __device__ explicit EvenWords(const uint8_t* bytes) {
    const uint32_t odd = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(bytes)) & 2;
    words_ = reinterpret_cast<const uint32_t*>(bytes - odd);
    shift_ = odd * 8;
  }
  __device__ uint32_t operator[](int i) const { return __funnelshift_r(words_[i], words_[i + 1], shift_); }

 private:
  const uint32_t* words_;
  uint32_t shift_;
};

__device__ inline uint32_t word_at(const uint8_t* bytes) { return *reinterpret_cast<const uint32_t*>(bytes); }

__device__ inline float half_at(const uint8_t* bytes) {
  return __half2float(__ushort_as_half(*reinterpret_cast<const uint16_t*>(bytes)));
}

/** 32 bytes on a multiple of 16. */
__device__ inline void load_32(const uint8_t* bytes, uint32_t (&words)[8]) {
  const uint4 low = reinterpret_cast<const uint4*>(bytes)[0], high = reinterpret_cast<const uint4*>(bytes)[1];
  words[0] = low.x, words[1] = low.y, words[2] = low.z, words[3] = low.w;
  words[4] = high.x, words[5] = high.y, words[6] = high.z, words[7] = high.w;
}

/** The nibbles of a word that are low (odd = 0) or high (odd = 1) in their bytes. */
__device__ inline uint32_t nibbles(uint32_t word, int odd) { return word >> (4 * odd) & 0x0f0f0f0f; }

/** Bits 4i .. 4i + 3 of `bits` as bit 4 of four bytes. */
__device__ inline uint32_t fifth_bits(uint32_t bits, int i) {
  // x, 2^7 x, 2^14 x and 2^21 x put bit j of the four onto bit 8j; no two of the sixteen products meet.
  return ((bits >> (4 * i) & 15) * 0x00204081 & 0x01010101) << 4;
}

/** sum + the products of four unsigned bytes with four signed ones */
__device__ inline int dot_unsigned(uint32_t bytes, int values, int sum) {
  int result;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(bytes), "r"(values), "r"(sum));
  return result;
}

/** All eight words of piece s. */
template <class T>
__device__ void piece_codes(const uint8_t* block, uint32_t s, uint32_t (&words)[8]) {
  if constexpr (requires { T::codes(block, s, words); }) {
    T::codes(block, s, words);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) words[i] = T::code(block, s, i);
  }
}

}  // namespace ntx::cuda
