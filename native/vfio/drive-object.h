// JavaScript's view of a drive. src/nvme/binding.ts has the types.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "drive.h"
#include "sim/drive.h"

namespace ntx::nvme {

/// new Drive(options, onEvents): .open(source), .read(view, runs), .pin(view), .unpin(view), .close(), .info(),
/// .stats()
///
/// Every call but the last two returns the number of a job; its end comes as an event.
class DriveObject : public Napi::ObjectWrap<DriveObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit DriveObject(const Napi::CallbackInfo& info);
  ~DriveObject() override;

 private:
  static void end(void* self);
  void on_event(DriveEvent event);
  void deliver(Napi::Env env, Napi::Function callback);
  void finish(Napi::Env env);
  Napi::Value started(Napi::Env env, uint64_t job);
  Drive& opened(Napi::Env env) const;

  Napi::Value open(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value pin(const Napi::CallbackInfo& info);
  Napi::Value unpin(const Napi::CallbackInfo& info);
  Napi::Value probe(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  Napi::ThreadSafeFunction events_;
  std::mutex mutex_;
  std::vector<DriveEvent> waiting_;
  bool reporting_ = false;
  bool unref_later_ = false;
  std::unique_ptr<Drive> drive_;
  uint64_t jobs_ = 0, unfinished_ = 0;
  uint64_t closing_ = 0;  // the job of close()
  unsigned queues_ = 1;
};

/// Knobs of a simulated drive from an object; what is absent keeps its default.
SimKnobs sim_knobs(const Napi::Object& source);
/// Fields that are absent are `otherwise`.
uint64_t number_in(const Napi::Object& object, const char* name, uint64_t otherwise);
bool flag_in(const Napi::Object& object, const char* name, bool otherwise);

/// Pure parts of the driver, and the driver in simulated time, for tests.
void define_internals(Napi::Env env, Napi::Object exports);

}  // namespace ntx::nvme
