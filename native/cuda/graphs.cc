#include "graphs.h"

#include <algorithm>

#include "cuda-error.h"

namespace ntx::cuda {

namespace {

/// Batch sizes that take turns, times the splits of attention that a growing context goes through.
constexpr size_t kMostGraphs = 64;

cudaGraphExec_t capture(cudaStream_t stream, const std::function<void()>& launch_all) {
  NTX_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    launch_all();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    cudaGetLastError();
    throw;
  }
  NTX_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  NTX_CUDA(status);
  return executable;
}

}  // namespace

Graphs::~Graphs() {
  for (const Entry& entry : entries_) {
    if (entry.graph != nullptr) cudaGraphExecDestroy(entry.graph);
  }
}

void Graphs::run(const PassShape& shape, cudaStream_t stream, const std::function<void()>& launch_all) {
  Entry& entry = entry_of(shape);
  const bool is_new = entry.used == 0;
  entry.used = ++passes_;
  if (is_new) return launch_all();
  if (entry.graph == nullptr) entry.graph = capture(stream, launch_all);
  NTX_CUDA(cudaGraphLaunch(entry.graph, stream));
}

bool Graphs::run_again(const PassShape& shape, cudaStream_t stream) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.shape == shape; });
  if (found == entries_.end() || found->graph == nullptr) return false;
  found->used = ++passes_;
  NTX_CUDA(cudaGraphLaunch(found->graph, stream));
  return true;
}

/// The entry of a shape; a new one, with `used` 0, takes the place of the one that was not used for longest.
Graphs::Entry& Graphs::entry_of(const PassShape& shape) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.shape == shape; });
  if (found != entries_.end()) return *found;
  const Entry fresh{shape, nullptr, 0};
  if (entries_.size() < kMostGraphs) return entries_.emplace_back(fresh);
  Entry& oldest = *std::min_element(entries_.begin(), entries_.end(),
                                    [](const Entry& a, const Entry& b) { return a.used < b.used; });
  // A graph that runs is destroyed when it has.
  if (oldest.graph != nullptr) cudaGraphExecDestroy(oldest.graph);
  return oldest = fresh;
}

}  // namespace ntx::cuda
