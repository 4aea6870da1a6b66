#include "binding.h"

namespace ntx {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d6d656d6f, 0x72792d6f626a6563};

}  // namespace

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
  return view_of(info, of(info.This()));
}

void MemoryObject::free(const Napi::CallbackInfo&) {
  if (!mapping_) return;
  mapping_->release();
  mapping_.reset();
}

}  // namespace ntx
