#include "binding.h"

namespace ntx::cuda {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d63756461, 0x6d656d6f72792d6f};

}  // namespace

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
  return view_of(info, block);
}

void MemoryObject::free(const Napi::CallbackInfo&) {
  if (!block_) return;
  block_->release();
  block_.reset();
  pages_.Reset();
}

}  // namespace ntx::cuda
