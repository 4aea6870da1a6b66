// Exports of ntx_cuda.node; src/backend/cuda/binding.ts has their types.
#include "binding.h"
#include "kernels/hold.h"

namespace ntx::cuda {

namespace {

Napi::Object describe_device(Napi::Env env, int index) {
  cudaDeviceProp properties{};
  NTX_CUDA(cudaGetDeviceProperties(&properties, index));
  Napi::Object device = Napi::Object::New(env);
  device["name"] = Napi::String::New(env, properties.name);
  device["major"] = Napi::Number::New(env, properties.major);
  device["minor"] = Napi::Number::New(env, properties.minor);
  device["multiprocessors"] = Napi::Number::New(env, properties.multiProcessorCount);
  device["memoryBytes"] = Napi::Number::New(env, static_cast<double>(properties.totalGlobalMem));
  device["integrated"] = Napi::Boolean::New(env, properties.integrated != 0);
  return device;
}

// devices(): what the driver says before anything is opened; `problem` is CUDA's name of what is wrong, or null
Napi::Value devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  Napi::Object result = Napi::Object::New(env);
  result["driver"] = Napi::Number::New(env, driver);
  result["runtime"] = Napi::Number::New(env, runtime);
  result["problem"] = status == cudaSuccess ? env.Null() : Napi::Value(Napi::String::New(env, cudaGetErrorName(status)));
  result["architectures"] = Napi::String::New(env, NTX_CUDA_ARCHITECTURES);
  Napi::Array list = Napi::Array::New(env);
  for (int i = 0; status == cudaSuccess && i < count; ++i) list[static_cast<uint32_t>(i)] = describe_device(env, i);
  result["devices"] = list;
  return result;
}

// hasKernels(device): whether one of the built architectures runs there. Initialises the device.
Napi::Value has_kernels(const Napi::CallbackInfo& info) {
  const auto device = static_cast<int>(whole_number(info, 0, "device", 0, 1023));
  NTX_CUDA(cudaSetDevice(device));
  const cudaError_t status = find_kernels();
  cudaGetLastError();
  if (status != cudaSuccess && status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction &&
      status != cudaErrorUnsupportedPtxVersion) {
    NTX_CUDA(status);
  }
  return Napi::Boolean::New(info.Env(), status == cudaSuccess);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Engine"] = EngineObject::define(env);
  exports["Memory"] = MemoryObject::define(env);
  exports["OpList"] = ListObject::define(env);
  exports["devices"] = Napi::Function::New(env, devices, "devices");
  exports["hasKernels"] = Napi::Function::New(env, has_kernels, "hasKernels");
  return exports;
}

}  // namespace

}  // namespace ntx::cuda

namespace {
Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return ntx::cuda::init(env, exports); }
}  // namespace

NODE_API_MODULE(ntx_cuda, init_addon)
