// A warp's ring of stages in shared memory, into which its weights are copied asynchronously, 16 bytes and more at a
// time, while the warp works on stages that have arrived. Copies go from the multiple of 16 bytes at or below a strip's
// first byte to the one at or above its end, so a strip lies in its stage as far from a multiple of 16 as in memory.
//
// From sm_90 on the copy engine moves a long strip (cp.async.bulk); else lanes move 16 bytes each (cp.async). Both
// count on an mbarrier, one a stage, which a warp waits on by the parity of its turn.
#pragma once

#include "product-device.cuh"

// Defined as 0 to measure the 16-byte copies where bulk copies are at hand.
#ifndef NTX_BULK_COPIES
#define NTX_BULK_COPIES 1
#endif

namespace ntx::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && NTX_BULK_COPIES
constexpr bool kBulkCopies = true;
#else
constexpr bool kBulkCopies = false;
#endif

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ inline void copy_16_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}

/** A cache policy: what comes so leaves L2 first. A pass reads a weight once; activations and the KV cache stay. */
__device__ inline uint64_t read_once() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

/** How far `bytes` is above a multiple of 16. */
__device__ inline uint32_t offset_16(const uint8_t* bytes) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(bytes)) & 15;
}

/** Room for `bytes` of blocks, which may start up to 14 bytes above a multiple of 16; EvenWords reads past them. */
template <class T>
constexpr uint32_t strip_bytes(uint32_t bytes) {
  return round_up(bytes + 16 - T::kAlign + (T::kAlign == 2 ? 4 : 0), 16);
}

/** `kStrips` strips of weights a stage, 1 or 16, each at most kStripBytes with what rounding to 16 bytes adds. */
template <int kStrips, uint32_t kStripBytes>
class WeightRing {
  static_assert(kStrips == 1 || kStrips == 16);
  static_assert(kStripBytes % 16 == 0);

 public:
  static constexpr uint32_t kStageBytes = kStrips * kStripBytes;
  // Sixteen short strips are sooner fetched by all lanes than one after the other by the copy engine.
  static constexpr bool kBulk = kBulkCopies && kStrips == 1;

  /** `data` on 16 bytes; `barriers` one a stage. */
  __device__ WeightRing(uint8_t* data, uint64_t* barriers, uint32_t stages)
      : data_(data), barriers_(barriers), stages_(stages) {
    for (uint32_t i = threadIdx.x % kWarp; i < stages; i += kWarp) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barriers + i)),
                   "r"(kBulk ? 1 : kWarp)
                   : "memory");
    }
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
    __syncwarp();
  }

  /** This lane's strip of a stage that load() is called for. */
  static __device__ int lane_strip() {
    const int lane = threadIdx.x % kWarp;
    return kStrips == 1 ? 0 : lane / (kWarp / kStrips);
  }

  /** Called by the whole warp: starts the copy of the next stage, of whose strips `strip` is lane_strip()'s. */
  __device__ void load(const uint8_t* strip, uint32_t bytes) {
    uint8_t* to = data_ + loading_ * kStageBytes + lane_strip() * kStripBytes;
    const uint8_t* from = strip - offset_16(strip);
    const uint32_t size = round_up(offset_16(strip) + bytes, 16);
    const uint32_t barrier = shared_address(barriers_ + loading_);
    const uint32_t lane = threadIdx.x % kWarp;
    if constexpr (kBulk) {
      if (lane == 0) {
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(size) : "memory");
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
                shared_address(to)),
            "l"(from), "r"(size), "r"(barrier), "l"(read_once())
            : "memory");
      }
    } else {
      constexpr uint32_t kLanes = kWarp / kStrips;
      for (uint32_t i = 16 * (lane % kLanes); i < size; i += 16 * kLanes) copy_16_async(to + i, from + i);
      asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
    }
    loading_ = loading_ + 1 == stages_ ? 0 : loading_ + 1;
  }

  /** Waits for the oldest stage and returns its strips. */
  __device__ const uint8_t* wait() const {
    const uint32_t barrier = shared_address(barriers_ + reading_);
    uint32_t done;
    do {
#if __CUDA_ARCH__ >= 900
      asm volatile(
          "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
          : "=r"(done)
          : "r"(barrier), "r"(parity_)
          : "memory");
#else
      asm volatile(
          "{ .reg .pred p; mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
          : "=r"(done)
          : "r"(barrier), "r"(parity_)
          : "memory");
#endif
    } while (done == 0);
    return data_ + reading_ * kStageBytes;
  }

  /** The warp has read the oldest stage: its place may be loaded again. */
  __device__ void release() {
    __syncwarp();
    if (++reading_ == stages_) {
      reading_ = 0;
      parity_ ^= 1;
    }
  }

 private:
  uint8_t* data_;
  uint64_t* barriers_;
  uint32_t stages_;
  uint32_t loading_ = 0, reading_ = 0, parity_ = 0;
};

}  // namespace ntx::cuda
