#include "binding.h"

namespace ntx::cuda {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d63756461, 0x6c6973742d6f626a};

}  // namespace

Napi::Function ListObject::define(Napi::Env env) {
  return DefineClass(env, "OpList", {InstanceMethod<&ListObject::dispose>("dispose")});
}

ListObject::ListObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ListObject>(info) {
  const std::shared_ptr<Engine> engine = EngineObject::of(info[0]);
  // The memories first: a getter in their array runs JavaScript, which could detach the bytes.
  OpList::Memories memories = all_of<MemoryObject>(info[2], "memories");
  const auto bytes = elements_of<uint8_t>(info[1], napi_uint8_array, "op list");
  const auto fused = elements_of<uint32_t>(info[3], napi_uint32_array, "fused norms");
  const auto cuts = elements_of<uint32_t>(info[4], napi_uint32_array, "cuts");
  list_ = guarded(info.Env(), *engine,
                  [&] { return std::make_unique<OpList>(engine, bytes, std::move(memories), fused, cuts); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

OpList& ListObject::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "expected an OpList");
  }
  const std::unique_ptr<OpList>& list = Unwrap(value.As<Napi::Object>())->list_;
  if (!list) throw Napi::TypeError::New(value.Env(), "the OpList has been disposed");
  return *list;
}

void ListObject::dispose(const Napi::CallbackInfo&) { list_.reset(); }

}  // namespace ntx::cuda
