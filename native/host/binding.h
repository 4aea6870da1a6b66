// The addon's classes: thin wrappers that check what JavaScript passes and turn exceptions into errors.
#pragma once

#include <napi.h>

#include <memory>
#include <unordered_map>

#include "../arguments.h"
#include "executor.h"
#include "mapping.h"
#include "op-list.h"
#include "reader/file-reader.h"

namespace ntx {

/// Runs `make`; its OutOfMemory becomes an Error whose `code` is 'no-memory'.
template <class Make>
auto or_memory_error(Napi::Env env, Make make) {
  try {
    return make();
  } catch (const OutOfMemory& error) {
    Napi::Error thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", Napi::String::New(env, "no-memory"));
    throw thrown;
  }
}

/// new Memory(bytes): .view(offset, bytes), .free()
class MemoryObject : public Napi::ObjectWrap<MemoryObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit MemoryObject(const Napi::CallbackInfo& info);
  /// The mapping behind a value; throws TypeError for anything but a Memory that has not been freed.
  static std::shared_ptr<Mapping> of(const Napi::Value& value);

 private:
  Napi::Value view(const Napi::CallbackInfo& info);
  void free(const Napi::CallbackInfo& info);
  std::shared_ptr<Mapping> mapping_;
};

/// new OpList(bytes, memories, threads): .dispose()
class ListObject : public Napi::ObjectWrap<ListObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ListObject(const Napi::CallbackInfo& info);
  /// The list behind a value; throws TypeError for anything but an OpList that has not been disposed.
  static std::shared_ptr<const OpList> of(const Napi::Value& value);

 private:
  void dispose(const Napi::CallbackInfo& info);
  std::shared_ptr<const OpList> list_;
};

/// new Executor(threads, onProgress, patience): .submit(list, step), .takeTurn(...), .turnSpan(job), .copy(...), .read(...),
/// .measureReadBandwidth(...), .stop()
class ExecutorObject : public Napi::ObjectWrap<ExecutorObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ExecutorObject(const Napi::CallbackInfo& info);
  ~ExecutorObject() override;

 private:
  static void close(void* self);
  void on_progress(bool stopped);
  void report(Napi::Env env, Napi::Function callback);
  void finish(Napi::Env env, Napi::Function callback);
  struct Ops {
    std::shared_ptr<const OpList> list;
    CheckedStep step;
    size_t first, end;
  };
  Executor& running(Napi::Env env) const;
  Ops ops_of(const Napi::CallbackInfo& info) const;
  Napi::Value submitted(Napi::Env env, uint64_t job);
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value take_turn(const Napi::CallbackInfo& info);
  Napi::Value turn_span(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value measure_read_bandwidth(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);

  std::atomic<bool> reporting_{false};  // a report is on its way to the main thread
  Napi::ThreadSafeFunction progress_;
  std::unique_ptr<Executor> executor_;
  uint64_t submitted_ = 0;
  bool stopping_ = false;
};

/// new Reader(paths, settings, onEnded): .read(...), .attach(...), .files(), .cached(...), .statistics(), .drop(), .close()
class ReaderObject : public Napi::ObjectWrap<ReaderObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ReaderObject(const Napi::CallbackInfo& info);
  ~ReaderObject() override;

 private:
  static void end(void* self);
  void on_progress();
  void report(Napi::Env env, Napi::Function callback);
  FileReader& open(Napi::Env env) const;
  Napi::Value read(const Napi::CallbackInfo& info);
  void attach(const Napi::CallbackInfo& info);
  Napi::Value files(const Napi::CallbackInfo& info);
  Napi::Value cached(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::atomic<bool> reporting_{false};  // a report is on its way to the main thread
  Napi::ThreadSafeFunction progress_;
  Napi::ObjectReference attached_;                                           // views of the memory that the kernel may have pinned
  std::unordered_map<uint64_t, Napi::Reference<Napi::Uint8Array>> targets_;  // of requests that have not been reported
  std::unique_ptr<FileReader> reader_;
};

/// checksum(bytes): XXH3 of 64 bits, computed on another thread
Napi::Value checksum(const Napi::CallbackInfo& info);

}  // namespace ntx
