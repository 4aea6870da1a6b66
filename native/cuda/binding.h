// The addon's classes: thin wrappers that check what JavaScript passes and turn exceptions into errors.
#pragma once

#include <napi.h>

#include <memory>

#include "../arguments.h"
#include "engine.h"
#include "memory.h"
#include "op-list.h"

namespace ntx::cuda {

/// An Error with a `code`: 'no-memory', or 'cuda' for a failure of the device.
Napi::Error coded_error(Napi::Env env, const char* what, const char* code);

/// Runs `work`. CUDA's errors fail the engine, so that every later call throws the first one.
template <class Work>
auto guarded(Napi::Env env, Engine& engine, Work work) {
  try {
    engine.enter();
    return work();
  } catch (const OutOfMemory& error) {
    throw coded_error(env, error.what(), "no-memory");
  } catch (const CudaError& error) {
    if (error.code() == cudaErrorMemoryAllocation) throw coded_error(env, error.what(), "no-memory");
    engine.fail(error.what());
    throw coded_error(env, error.what(), "cuda");
  }
}

/// new Engine(device, onProgress): see src/backend/cuda/binding.ts
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;
  /// The engine behind a value; throws TypeError for anything but an Engine that has not been closed.
  static std::shared_ptr<Engine> of(const Napi::Value& value);

 private:
  static void at_exit(void* self);
  void report(Napi::Env env, Napi::Function callback);
  Engine& engine(Napi::Env env) const;
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  Napi::Value submit_drawn(const Napi::CallbackInfo& info);
  Napi::Value hand_over(const Napi::CallbackInfo& info);
  Napi::Value can_hand_over(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);
  void watch(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);
  Napi::Value timings(const Napi::CallbackInfo& info);
  Napi::Value measure_read_bandwidth(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value settled_seconds(const Napi::CallbackInfo& info);
  Napi::Value fault(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::atomic<bool> reporting_{false};  // a report is on its way to the main thread
  Napi::ThreadSafeFunction progress_;
  std::shared_ptr<Engine> engine_;
};

/// new Memory(engine, bytes | Uint8Array, pinned, combined): .view(offset, bytes), .free()
class MemoryObject : public Napi::ObjectWrap<MemoryObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit MemoryObject(const Napi::CallbackInfo& info);
  /// The memory behind a value; throws TypeError for anything but a Memory that has not been freed.
  static std::shared_ptr<Block> of(const Napi::Value& value);

 private:
  Napi::Value view(const Napi::CallbackInfo& info);
  void free(const Napi::CallbackInfo& info);
  std::shared_ptr<Block> block_;
  Napi::Reference<Napi::Uint8Array> pages_;  // of registered memory
};

/// new OpList(engine, bytes, memories, fused, cuts): .dispose()
class ListObject : public Napi::ObjectWrap<ListObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ListObject(const Napi::CallbackInfo& info);
  /// The list behind a value; throws TypeError for anything but an OpList that has not been disposed.
  static OpList& of(const Napi::Value& value);

 private:
  void dispose(const Napi::CallbackInfo& info);
  std::unique_ptr<OpList> list_;
};

}  // namespace ntx::cuda
