#include <cmath>
#include <string>

#include "binding.h"

namespace ntx {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d6d656d6f, 0x72792d6f626a6563};
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

Napi::Function MemoryObject::define(Napi::Env env) {
  return DefineClass(env, "Memory",
                     {InstanceMethod<&MemoryObject::view>("view"), InstanceMethod<&MemoryObject::free>("free")});
}

MemoryObject::MemoryObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MemoryObject>(info) {
  const uint64_t bytes = whole_number(info, 0, "bytes", 0, kMaxSafeInteger);
  mapping_ = or_memory_error(info.Env(), [&] { return std::make_shared<Mapping>(bytes); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

std::shared_ptr<Mapping> MemoryObject::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "expected a Memory");
  }
  const std::shared_ptr<Mapping>& mapping = Unwrap(value.As<Napi::Object>())->mapping_;
  if (!mapping) throw Napi::TypeError::New(value.Env(), "the Memory has been freed");
  return mapping;
}

Napi::Value MemoryObject::view(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Mapping> mapping = of(info.This());
  const uint64_t offset = whole_number(info, 0, "offset", 0, mapping->bytes());
  const uint64_t bytes = whole_number(info, 1, "bytes", 0, std::min(kMaxViewBytes, mapping->bytes() - offset));
  if (bytes == 0) return Napi::Uint8Array::New(info.Env(), 0);
  const auto drop = [](Napi::Env, void*, std::shared_ptr<Mapping>* holder) { delete holder; };
  auto* holder = new std::shared_ptr<Mapping>(mapping);
  const auto buffer = Napi::ArrayBuffer::New(info.Env(), mapping->data() + offset, bytes, drop, holder);
  return Napi::Uint8Array::New(info.Env(), bytes, buffer, 0);
}

void MemoryObject::free(const Napi::CallbackInfo&) {
  if (!mapping_) return;
  mapping_->release();
  mapping_.reset();
}

}  // namespace ntx
