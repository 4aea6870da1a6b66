#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "../call-back.h"
#include "../turns.h"
#include "binding.h"
#include "kernels/hold.h"
#include "kernels/read-bandwidth.h"

namespace ntx::cuda {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d63756461, 0x656e67696e65206f};
constexpr size_t kBandwidthRuns = 8;

struct Part {
  std::shared_ptr<Block> memory;
  uint8_t* data;
};

/// Arguments `index` to `index + 1`, a Memory and an offset in it, with `bytes` behind them.
Part part_of(const Napi::CallbackInfo& info, size_t index, uint64_t bytes) {
  std::shared_ptr<Block> memory = MemoryObject::of(info[index]);
  if (bytes > memory->bytes()) throw Napi::RangeError::New(info.Env(), "bytes: more than the memory has");
  const uint64_t offset = whole_number(info, index + 1, "offset", 0, memory->bytes() - bytes);
  uint8_t* data = memory->data() + offset;
  return {std::move(memory), data};
}

std::span<const uint32_t> words_of(const Napi::Value& value, const char* what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    throw Napi::TypeError::New(value.Env(), std::string(what) + ": expected a Uint32Array");
  }
  const auto words = value.As<Napi::Uint32Array>();
  return {words.Data(), words.ElementLength()};
}

StreamName stream_of(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<StreamName>(whole_number(info, index, "stream", 0, kStreams - 1));
}

uint64_t ticket_of(const Napi::CallbackInfo& info, size_t index) {
  return whole_number(info, index, "ticket", 0, kMaxSafeInteger);
}

Napi::Number number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

/// The list of argument 0, all of whose memories are there.
OpList& live_list(const Napi::CallbackInfo& info) {
  OpList& list = ListObject::of(info[0]);
  if (list.memory_released()) throw Napi::Error::New(info.Env(), "a memory of the list has been freed");
  return list;
}

}  // namespace

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod<&EngineObject::submit>("submit"), InstanceMethod<&EngineObject::submit_drawn>("submitDrawn"),
       InstanceMethod<&EngineObject::copy>("copy"),
       InstanceMethod<&EngineObject::hand_over>("handOver"),
       InstanceMethod<&EngineObject::can_hand_over>("canHandOver"), InstanceMethod<&EngineObject::read>("read"),
       InstanceMethod<&EngineObject::take>("take"),
       InstanceMethod<&EngineObject::watch>("watch"), InstanceMethod<&EngineObject::profile>("profile"),
       InstanceMethod<&EngineObject::timings>("timings"),
       InstanceMethod<&EngineObject::measure_read_bandwidth>("measureReadBandwidth"),
       InstanceMethod<&EngineObject::memory>("memory"), InstanceMethod<&EngineObject::settled_seconds>("settledSeconds"),
       InstanceMethod<&EngineObject::fault>("fault"), InstanceMethod<&EngineObject::close>("close")});
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  const Napi::Env env = info.Env();
  const auto device = static_cast<int>(whole_number(info, 0, "device", 0, 1023));
  if (!info[1].IsFunction()) throw Napi::TypeError::New(env, "onProgress: expected a function");
  progress_ = Napi::ThreadSafeFunction::New(env, info[1].As<Napi::Function>(), "ntx cuda", 0, 1);
  progress_.Unref(env);
  const auto on_progress = [this] {
    if (reporting_.exchange(true)) return;
    progress_.NonBlockingCall([this](Napi::Env env, Napi::Function callback) { report(env, callback); });
  };
  try {
    engine_ = std::make_shared<Engine>(device, on_progress);
  } catch (const CudaError& error) {
    progress_.Release();
    throw coded_error(env, error.what(), error.code() == cudaErrorMemoryAllocation ? "no-memory" : "cuda");
  }
  info.This().As<Napi::Object>().TypeTag(&kTag);
  // Hooks run last first: the watching ends before its way to report does.
  napi_add_env_cleanup_hook(env, at_exit, this);
  Ref();  // until it is closed: reports name this object
}

EngineObject::~EngineObject() = default;

void EngineObject::at_exit(void* self) {
  if (auto& engine = static_cast<EngineObject*>(self)->engine_) engine->stop();
}

std::shared_ptr<Engine> EngineObject::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "expected an Engine");
  }
  const std::shared_ptr<Engine>& engine = Unwrap(value.As<Napi::Object>())->engine_;
  if (!engine) throw Napi::TypeError::New(value.Env(), "the Engine has been closed");
  return engine;
}

void EngineObject::report(Napi::Env env, Napi::Function callback) {
  if (engine_) engine_->settle();
  reporting_ = false;  // before reading: whatever completes later reports again
  if (!engine_) return;
  if (!engine_->is_watching()) progress_.Unref(env);
  const std::optional<std::string> failure = engine_->failure();
  call_back(env, callback,
            {number(env, engine_->completed(StreamName::compute)), number(env, engine_->completed(StreamName::copies)),
             failure ? Napi::Value(Napi::String::New(env, *failure)) : env.Null()});
}

Engine& EngineObject::engine(Napi::Env env) const {
  if (!engine_) throw Napi::Error::New(env, "the engine has been closed");
  return *engine_;
}

// submit(list, step, afterCopies, segment): ticket
Napi::Value EngineObject::submit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpList& list = live_list(info);
  const std::span<const uint32_t> words = words_of(info[1], "step buffer");
  const uint64_t copies = ticket_of(info, 2);
  const size_t segment = whole_number(info, 3, "segment", 0, list.segments() - 1);
  return guarded(env, engine(env), [&] {
    engine_->await(StreamName::compute, copies);
    return number(env, list.run(words, segment));
  });
}

// submitDrawn(list, step, sampling, candidates, offset, bytes): [ticket, ticket of the read, buffer]
Napi::Value EngineObject::submit_drawn(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpList& list = live_list(info);
  const std::span<const uint32_t> words = words_of(info[1], "step buffer"), parameters = words_of(info[2], "sampling");
  Sampling sampling;
  if (parameters.size_bytes() != sizeof sampling) throw Napi::RangeError::New(env, "sampling: not as many words as it has");
  std::memcpy(&sampling, parameters.data(), sizeof sampling);
  const uint64_t bytes = whole_number(info, 5, "bytes", 0, kMaxSafeInteger);
  const Part candidates = part_of(info, 3, bytes);
  return guarded(env, engine(env), [&] {
    const OpList::Drawn drawn = list.run_drawn(words, candidates.data, bytes, sampling);
    Napi::Array result = Napi::Array::New(env, 3);
    result[0u] = number(env, drawn.ticket);
    result[1u] = number(env, drawn.candidates.ticket);
    result[2u] = number(env, drawn.candidates.buffer);
    return Napi::Value(result);
  });
}

// copy(stream, from, fromOffset, to, toOffset, bytes, after): ticket
Napi::Value EngineObject::copy(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const StreamName stream = stream_of(info, 0);
  const uint64_t bytes = whole_number(info, 5, "bytes", 0, kMaxSafeInteger), after = ticket_of(info, 6);
  const Part from = part_of(info, 1, bytes), to = part_of(info, 3, bytes);
  if (from.data < to.data + bytes && to.data < from.data + bytes) {
    throw Napi::RangeError::New(env, "copy: the ranges overlap");
  }
  return guarded(env, engine(env), [&] {
    engine_->await(stream, after);
    return number(env, engine_->copy(stream, from.data, to.data, bytes));
  });
}

// handOver(data, offset, bytes, words, turn): ticket
Napi::Value EngineObject::hand_over(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint64_t bytes = whole_number(info, 2, "bytes", 0, kMaxSafeInteger - kTurnHeader);
  const Part data = part_of(info, 0, bytes);
  const std::shared_ptr<Block> words = MemoryObject::of(info[3]);
  if (!words->is_host() || words->bytes() < kTurnHeader + bytes) {
    throw Napi::RangeError::New(env, "words: expected host memory with room for the data behind them");
  }
  const auto turn = static_cast<uint32_t>(whole_number(info, 4, "turn", 0, UINT32_MAX));
  return guarded(env, engine(env), [&] { return number(env, engine_->hand_over(data.data, words->data(), bytes, turn)); });
}

// canHandOver(): whether this device and its driver can
Napi::Value EngineObject::can_hand_over(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), engine(info.Env()).can_hand_over());
}

// read(from, offset, bytes): [ticket, buffer]
Napi::Value EngineObject::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint64_t bytes = whole_number(info, 2, "bytes", 0, kMaxSafeInteger);
  const Part from = part_of(info, 0, bytes);
  return guarded(env, engine(env), [&] {
    const Engine::Read read = engine_->read(from.data, bytes);
    Napi::Array result = Napi::Array::New(env, 2);
    result[0u] = number(env, read.ticket);
    result[1u] = number(env, read.buffer);
    return Napi::Value(result);
  });
}

// take(buffer): an ArrayBuffer with what was read; its ticket has completed
Napi::Value EngineObject::take(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto index = static_cast<uint32_t>(whole_number(info, 0, "buffer", 0, UINT32_MAX));
  Engine& own = engine(env);
  const ReadBuffer& buffer = own.read_buffer(index);
  Napi::ArrayBuffer bytes = Napi::ArrayBuffer::New(env, buffer.bytes);
  if (buffer.bytes > 0) std::memcpy(bytes.Data(), buffer.data, buffer.bytes);
  own.release_read(index);
  return bytes;
}

// watch(stream, ticket)
void EngineObject::watch(const Napi::CallbackInfo& info) {
  Engine& own = engine(info.Env());
  progress_.Ref(info.Env());  // Node stays up while something is waited for
  own.watch(stream_of(info, 0), ticket_of(info, 1));
}

// profile(list, step): ticket
Napi::Value EngineObject::profile(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpList& list = live_list(info);
  const std::span<const uint32_t> words = words_of(info[1], "step buffer");
  return guarded(env, engine(env), [&] { return number(env, list.profile(words)); });
}

// timings(list): Float64Array of (op, seconds), of the profiled pass that has completed
Napi::Value EngineObject::timings(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  OpList& list = ListObject::of(info[0]);
  return guarded(env, engine(env), [&] {
    const std::vector<Timing> timings = list.timings();
    Napi::Float64Array result = Napi::Float64Array::New(env, 2 * timings.size());
    for (size_t i = 0; i < timings.size(); ++i) {
      result[2 * i] = timings[i].op;
      result[2 * i + 1] = static_cast<double>(timings[i].seconds);
    }
    return result;
  });
}

// measureReadBandwidth(bytes): bytes a second, the best of several times; waits for them
Napi::Value EngineObject::measure_read_bandwidth(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const uint64_t bytes = whole_number(info, 0, "bytes", 1, kMaxSafeInteger);
  return guarded(env, engine(env), [&] {
    const Block memory(engine_, bytes + sizeof(uint32_t), Block::Kind::device);
    std::array<cudaEvent_t, kBandwidthRuns + 1> events{};
    for (cudaEvent_t& event : events) NTX_CUDA(cudaEventCreate(&event));
    launch_read_bandwidth(memory.data(), bytes, reinterpret_cast<uint32_t*>(memory.data() + bytes / 4 * 4),
                          engine_->traits().multiprocessors, engine_->compute(), events);
    NTX_CUDA(cudaEventSynchronize(events.back()));
    float best = INFINITY;
    for (size_t i = 0; i < kBandwidthRuns; ++i) {
      float milliseconds = 0;
      NTX_CUDA(cudaEventElapsedTime(&milliseconds, events[i], events[i + 1]));
      best = std::min(best, milliseconds);
    }
    for (const cudaEvent_t event : events) cudaEventDestroy(event);
    return Napi::Number::New(env, static_cast<double>(bytes) / (static_cast<double>(best) / 1000));
  });
}

// memory(): [free, total] bytes of the device
Napi::Value EngineObject::memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, engine(env), [&] {
    size_t free = 0, total = 0;
    NTX_CUDA(cudaMemGetInfo(&free, &total));
    Napi::Array both = Napi::Array::New(env, 2);
    both[0u] = number(env, free);
    both[1u] = number(env, total);
    return Napi::Value(both);
  });
}

// settledSeconds(): how long JavaScript's thread has waited for passes that were nearly done
Napi::Value EngineObject::settled_seconds(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), engine(info.Env()).settled_seconds());
}

// fault(): ticket of a kernel that fails
Napi::Value EngineObject::fault(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, engine(env), [&] {
    launch_fault(engine_->compute());
    return number(env, engine_->mark(StreamName::compute));
  });
}

void EngineObject::close(const Napi::CallbackInfo& info) {
  if (!engine_) return;
  napi_remove_env_cleanup_hook(info.Env(), at_exit, this);
  engine_->stop();
  engine_.reset();
  // Reports that are still on their way name this object: it stays until they have come.
  progress_.NonBlockingCall([this](Napi::Env, Napi::Function) { Unref(); });
  progress_.Release();
}

}  // namespace ntx::cuda
