#include <system_error>

#include "../call-back.h"
#include "../turns.h"
#include "binding.h"

namespace ntx {

namespace {

constexpr uint64_t kMaxThreads = 1024;
constexpr uint64_t kMaxPatience = 1'000'000;

struct Part {
  std::shared_ptr<Mapping> memory;
  uint64_t offset, bytes;
};

/// Arguments `index` to `index + 1`, a Memory and an offset in it, with `bytes` behind them.
Part part_of(const Napi::CallbackInfo& info, size_t index, uint64_t bytes) {
  std::shared_ptr<Mapping> memory = MemoryObject::of(info[index]);
  if (bytes > memory->bytes()) throw Napi::RangeError::New(info.Env(), "bytes: more than the memory has");
  const uint64_t offset = whole_number(info, index + 1, "offset", 0, memory->bytes() - bytes);
  return {std::move(memory), offset, bytes};
}

}  // namespace

Napi::Function ExecutorObject::define(Napi::Env env) {
  return DefineClass(env, "Executor",
                     {InstanceMethod<&ExecutorObject::submit>("submit"), InstanceMethod<&ExecutorObject::copy>("copy"),
                      InstanceMethod<&ExecutorObject::take_turn>("takeTurn"),
                      InstanceMethod<&ExecutorObject::turn_span>("turnSpan"),
                      InstanceMethod<&ExecutorObject::read>("read"),
                      InstanceMethod<&ExecutorObject::measure_read_bandwidth>("measureReadBandwidth"),
                      InstanceMethod<&ExecutorObject::stop>("stop")});
}

ExecutorObject::ExecutorObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ExecutorObject>(info) {
  const auto threads = static_cast<unsigned>(whole_number(info, 0, "threads", 1, kMaxThreads));
  if (!info[1].IsFunction()) throw Napi::TypeError::New(info.Env(), "onProgress: expected a function");
  progress_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "ntx executor", 0, 1);
  progress_.Unref(info.Env());
  const std::chrono::microseconds patience(info.Length() > 2 ? whole_number(info, 2, "patience", 0, kMaxPatience) : 0);
  try {
    executor_ = std::make_unique<Executor>(threads, patience, [this](bool stopped) { on_progress(stopped); });
  } catch (const std::system_error& error) {
    progress_.Release();
    throw Napi::Error::New(info.Env(), error.what());
  }
  // Hooks run last first: the thread ends before its way to report does.
  napi_add_env_cleanup_hook(info.Env(), close, this);
  Ref();  // until it has stopped: reports name this object
}

ExecutorObject::~ExecutorObject() { executor_.reset(); }

void ExecutorObject::close(void* self) { static_cast<ExecutorObject*>(self)->executor_.reset(); }

// On the executor's thread.
void ExecutorObject::on_progress(bool stopped) {
  if (stopped) {
    progress_.NonBlockingCall([this](Napi::Env env, Napi::Function callback) { finish(env, callback); });
  } else if (!reporting_.exchange(true)) {
    progress_.NonBlockingCall([this](Napi::Env env, Napi::Function callback) { report(env, callback); });
  }
}

void ExecutorObject::report(Napi::Env env, Napi::Function callback) {
  reporting_ = false;  // before reading: whatever completes later reports again
  if (!executor_) return;
  const uint64_t completed = executor_->completed();
  if (completed == submitted_ && !stopping_) progress_.Unref(env);
  call_back(env, callback, {Napi::Number::New(env, static_cast<double>(completed)), Napi::Boolean::New(env, false)});
}

void ExecutorObject::finish(Napi::Env env, Napi::Function callback) {
  if (!executor_) return;
  const uint64_t completed = executor_->completed();
  napi_remove_env_cleanup_hook(env, close, this);
  executor_.reset();
  progress_.Release();
  Unref();
  call_back(env, callback, {Napi::Number::New(env, static_cast<double>(completed)), Napi::Boolean::New(env, true)});
}

Executor& ExecutorObject::running(Napi::Env env) const {
  if (!executor_ || stopping_) throw Napi::Error::New(env, "the executor has been stopped");
  return *executor_;
}

Napi::Value ExecutorObject::submitted(Napi::Env env, uint64_t job) {
  submitted_ = job;
  progress_.Ref(env);  // Node stays up while a pass runs
  return Napi::Number::New(env, static_cast<double>(job));
}

/// Arguments 0 to 3: a list, a step, and the first of its ops up to the end; all of them without these.
ExecutorObject::Ops ExecutorObject::ops_of(const Napi::CallbackInfo& info) const {
  std::shared_ptr<const OpList> list = ListObject::of(info[0]);
  if (list->workers() != running(info.Env()).threads()) {
    throw Napi::Error::New(info.Env(), "the list was recorded for other threads");
  }
  if (list->memory_released()) throw Napi::Error::New(info.Env(), "a memory of the list has been freed");
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    throw Napi::TypeError::New(info.Env(), "step buffer: expected a Uint32Array");
  }
  const auto words = info[1].As<Napi::Uint32Array>();
  const bool part = info.Length() > 2;
  const size_t end = part ? whole_number(info, 3, "end", 0, list->size()) : list->size();
  const size_t first = part ? whole_number(info, 2, "first", 0, end) : 0;
  CheckedStep step({words.Data(), words.ElementLength()}, list->limits());
  return {std::move(list), std::move(step), first, end};
}

// submit(list, step[, first, end]): the job of those ops, or of all
Napi::Value ExecutorObject::submit(const Napi::CallbackInfo& info) {
  auto [list, step, first, end] = ops_of(info);
  return submitted(info.Env(), running(info.Env()).submit(std::move(list), std::move(step), first, end));
}

// takeTurn(list, step, first, end, words, turn): the job of those ops, when it is the host's turn
Napi::Value ExecutorObject::take_turn(const Napi::CallbackInfo& info) {
  auto [list, step, first, end] = ops_of(info);
  std::shared_ptr<Mapping> words = MemoryObject::of(info[4]);
  if (words->bytes() < kTurnHeader) throw Napi::RangeError::New(info.Env(), "words: expected a memory that begins with them");
  const auto turn = static_cast<uint32_t>(whole_number(info, 5, "turn", 0, UINT32_MAX));
  return submitted(info.Env(), running(info.Env()).take_turn(std::move(list), std::move(step), first, end,
                                                             std::move(words), turn));
}

// turnSpan(job): how many seconds ago it began and ended to compute, of one of the last turns
Napi::Value ExecutorObject::turn_span(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Executor& executor = running(env);
  const Executor::Span span = executor.turn_span(whole_number(info, 0, "job", 1, executor.completed()));
  const auto now = Executor::Clock::now();
  const auto ago = [&](auto moment) { return Napi::Number::New(env, std::chrono::duration<double>(now - moment).count()); };
  Napi::Array both = Napi::Array::New(env, 2);
  both[0u] = ago(span.began);
  both[1u] = ago(span.ended);
  return both;
}

// copy(from, fromOffset, to, toOffset, bytes)
Napi::Value ExecutorObject::copy(const Napi::CallbackInfo& info) {
  Executor& executor = running(info.Env());
  const uint64_t bytes = whole_number(info, 4, "bytes", 0, kMaxSafeInteger);
  Part from = part_of(info, 0, bytes), to = part_of(info, 2, bytes);
  if (from.memory == to.memory && from.offset < to.offset + bytes && to.offset < from.offset + bytes) {
    throw Napi::RangeError::New(info.Env(), "copy: the ranges overlap");
  }
  return submitted(info.Env(),
                   executor.copy(std::move(from.memory), from.offset, std::move(to.memory), to.offset, bytes));
}

// read(from, offset, target): the caller keeps the Uint8Array `target` as it is until the job has completed
Napi::Value ExecutorObject::read(const Napi::CallbackInfo& info) {
  Executor& executor = running(info.Env());
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), "target: expected a Uint8Array");
  }
  auto target = info[2].As<Napi::Uint8Array>();
  Part from = part_of(info, 0, target.ByteLength());
  return submitted(info.Env(), executor.read(std::move(from.memory), from.offset, from.bytes, target.Data()));
}

// measureReadBandwidth(bytes, target): bytes a second into the Float64Array `target`, kept as with read
Napi::Value ExecutorObject::measure_read_bandwidth(const Napi::CallbackInfo& info) {
  Executor& executor = running(info.Env());
  const uint64_t bytes = whole_number(info, 0, "bytes", 1, kMaxSafeInteger);
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      info[1].As<Napi::TypedArray>().ElementLength() < 1) {
    throw Napi::TypeError::New(info.Env(), "target: expected a Float64Array");
  }
  auto memory = or_memory_error(info.Env(), [&] { return std::make_shared<Mapping>(bytes); });
  double* target = info[1].As<Napi::Float64Array>().Data();
  return submitted(info.Env(), executor.measure_read_bandwidth(std::move(memory), target));
}

void ExecutorObject::stop(const Napi::CallbackInfo& info) {
  if (!executor_ || stopping_) return;
  stopping_ = true;
  progress_.Ref(info.Env());
  executor_->stop();
}

}  // namespace ntx
