#include <algorithm>
#include <cmath>
#include <string>

#include "binding.h"

namespace ntx::cuda {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d63756461, 0x6d656d6f72792d6f};
constexpr uint64_t kMaxViewBytes = UINT32_MAX;

}  // namespace

uint64_t whole_number(const Napi::CallbackInfo& info, size_t index, const char* what, uint64_t least, uint64_t most) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : NAN;
  // Limits are safe integers, which doubles hold exactly; a NaN fails both comparisons.
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || value != std::floor(value)) {
    throw Napi::RangeError::New(info.Env(), std::string(what) + ": expected a whole number from " +
                                                std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<uint64_t>(value);
}

Napi::Error coded_error(Napi::Env env, const char* what, const char* code) {
  Napi::Error error = Napi::Error::New(env, what);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Function MemoryObject::define(Napi::Env env) {
  return DefineClass(env, "Memory",
                     {InstanceMethod<&MemoryObject::view>("view"), InstanceMethod<&MemoryObject::free>("free")});
}

MemoryObject::MemoryObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MemoryObject>(info) {
  const Napi::Env env = info.Env();
  const std::shared_ptr<Engine> engine = EngineObject::of(info[0]);
  if (info[1].IsTypedArray() && info[1].As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    auto pages = info[1].As<Napi::Uint8Array>();
    block_ = guarded(env, *engine, [&] { return std::make_shared<Block>(engine, pages.Data(), pages.ByteLength()); });
    pages_ = Napi::Persistent(pages);
  } else {
    const uint64_t bytes = whole_number(info, 1, "bytes", 0, kMaxSafeInteger);
    const auto pinned = info[3].ToBoolean() ? Block::Kind::combined : Block::Kind::pinned;
    const auto kind = info[2].ToBoolean() ? pinned : Block::Kind::device;
    block_ = guarded(env, *engine, [&] { return std::make_shared<Block>(engine, bytes, kind); });
  }
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

std::shared_ptr<Block> MemoryObject::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "expected a Memory");
  }
  const std::shared_ptr<Block>& block = Unwrap(value.As<Napi::Object>())->block_;
  if (!block) throw Napi::TypeError::New(value.Env(), "the Memory has been freed");
  return block;
}

Napi::Value MemoryObject::view(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Block> block = of(info.This());
  if (!block->is_host()) throw Napi::TypeError::New(info.Env(), "device memory has no views");
  const uint64_t offset = whole_number(info, 0, "offset", 0, block->bytes());
  const uint64_t bytes = whole_number(info, 1, "bytes", 0, std::min(kMaxViewBytes, block->bytes() - offset));
  if (bytes == 0) return Napi::Uint8Array::New(info.Env(), 0);
  const auto drop = [](Napi::Env, void*, std::shared_ptr<Block>* holder) { delete holder; };
  auto* holder = new std::shared_ptr<Block>(block);
  const auto buffer = Napi::ArrayBuffer::New(info.Env(), block->data() + offset, bytes, drop, holder);
  return Napi::Uint8Array::New(info.Env(), bytes, buffer, 0);
}

void MemoryObject::free(const Napi::CallbackInfo&) {
  if (!block_) return;
  block_->release();
  block_.reset();
  pages_.Reset();
}

}  // namespace ntx::cuda
