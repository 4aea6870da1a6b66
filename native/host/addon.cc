// Exports of ntx_host.node; src/backend/cpu/binding.ts has their types.
#include "binding.h"
#include "kernels/cpu-variant.h"
#include "machine.h"

namespace ntx {

namespace {

Napi::Value cpu_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result["name"] = Napi::String::New(env, cpu_name());
  result["cores"] = Napi::Number::New(env, available_cores());
  result["memoryBytes"] = Napi::Number::New(env, static_cast<double>(memory_limit()));
  result["variant"] = Napi::String::New(env, cpu_variant());
  Napi::Array variants = Napi::Array::New(env);
  for (uint32_t i = 0; const char* name = cpu_variant_name(static_cast<int>(i)); ++i) {
    variants[i] = Napi::String::New(env, name);
  }
  result["variants"] = variants;
  return result;
}

// For tests and comparisons: not while a pass runs.
Napi::Value use_cpu_variant(const Napi::CallbackInfo& info) {
  const bool used = info[0].IsString() && set_cpu_variant(info[0].As<Napi::String>().Utf8Value().c_str());
  return Napi::Boolean::New(info.Env(), used);
}

// Why there can be no io_uring ('' where there can), and the version of the library that the addon was built with.
Napi::Value io_uring_info(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  result["unavailable"] = Napi::String::New(info.Env(), Ring::unavailable());
  result["library"] = Napi::String::New(info.Env(), Ring::library());
  return result;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Memory"] = MemoryObject::define(env);
  exports["OpList"] = ListObject::define(env);
  exports["Executor"] = ExecutorObject::define(env);
  exports["Reader"] = ReaderObject::define(env);
  exports["ioUringInfo"] = Napi::Function::New(env, io_uring_info, "ioUringInfo");
  exports["checksum"] = Napi::Function::New(env, checksum, "checksum");
  exports["cpuInfo"] = Napi::Function::New(env, cpu_info, "cpuInfo");
  exports["useCpuVariant"] = Napi::Function::New(env, use_cpu_variant, "useCpuVariant");
  return exports;
}

}  // namespace

}  // namespace ntx

namespace {
Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return ntx::init(env, exports); }
}  // namespace

NODE_API_MODULE(ntx_host, init_addon)
