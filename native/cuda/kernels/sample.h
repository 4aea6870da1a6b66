// Draws the token that follows of the candidates that top-k has left, so that its pass can begin before the host has seen them.
// What src/sampler/sampler.ts does, in f32: penalties, top-k, top-p, min-p, temperature, a draw.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../../ops.h"
#include "product.h"

namespace ntx::cuda {

constexpr uint32_t kMostRecent = 64;

/// src/backend/sampling.ts writes it.
struct Sampling {
  float temperature;  // 0: the largest logit
  uint32_t top_k;     // 0: all
  float top_p, min_p;
  float repeat, frequency, presence;
  float random;  // in [0, 1)
  uint32_t recents, tokens, reserved[2];
  struct Recent {
    uint32_t token, count;
  } recent[kMostRecent];
};
static_assert(sizeof(Sampling) == 4 * (12 + 2 * kMostRecent));

/// `output`: OutputHeader with at most `candidates` Candidates, which gets the token, as the row does; both on the device.
void launch_sample(const Sampling& sampling, uint8_t* output, uint32_t candidates, StepRow* row,
                   const DeviceTraits& traits, cudaStream_t stream);

}  // namespace ntx::cuda
