#include "binding.h"

namespace ntx {

namespace {

constexpr napi_type_tag kTag = {0x6e74782d6f70206c, 0x6973742d6f626a65};
constexpr uint64_t kMaxThreads = 1024;

}  // namespace

Napi::Function ListObject::define(Napi::Env env) {
  return DefineClass(env, "OpList", {InstanceMethod<&ListObject::dispose>("dispose")});
}

ListObject::ListObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ListObject>(info) {
  const auto workers = static_cast<unsigned>(whole_number(info, 2, "threads", 1, kMaxThreads));
  // The memories first: a getter in their array runs JavaScript, which could detach the bytes.
  Memories memories = all_of<MemoryObject>(info[1], "memories");
  const auto bytes = elements_of<uint8_t>(info[0], napi_uint8_array, "op list");
  list_ =
      or_memory_error(info.Env(), [&] { return std::make_shared<const OpList>(bytes, std::move(memories), workers); });
  info.This().As<Napi::Object>().TypeTag(&kTag);
}

std::shared_ptr<const OpList> ListObject::of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) {
    throw Napi::TypeError::New(value.Env(), "expected an OpList");
  }
  const std::shared_ptr<const OpList>& list = Unwrap(value.As<Napi::Object>())->list_;
  if (!list) throw Napi::TypeError::New(value.Env(), "the OpList has been disposed");
  return list;
}

void ListObject::dispose(const Napi::CallbackInfo&) { list_.reset(); }

}  // namespace ntx
