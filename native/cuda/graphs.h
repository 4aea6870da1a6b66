// Captured passes of one list: a graph for each shape of step that has come more than once.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/kernels.h"

namespace ntx::cuda {

/// What launches depend on: steps that are equal in this can share a graph.
struct PassShape {
  uint32_t rows, outputs;
  AttentionPlan attention;
  bool operator==(const PassShape&) const = default;
};

class Graphs {
 public:
  Graphs() = default;
  ~Graphs();
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;

  /// Runs a pass: the first of its shape through `launch_all`, later ones as a graph that is captured from it.
  void run(const PassShape& shape, cudaStream_t stream, const std::function<void()>& launch_all);
  /// Runs a pass whose graph there is; false without.
  bool run_again(const PassShape& shape, cudaStream_t stream);

 private:
  struct Entry {
    PassShape shape;
    cudaGraphExec_t graph;  // null after the first pass
    uint64_t used;
  };
  Entry& entry_of(const PassShape& shape);

  std::vector<Entry> entries_;
  uint64_t passes_ = 0;
};

}  // namespace ntx::cuda
