// Exports of ntx_vfio.node; src/nvme/binding.ts has their types. An addon of its own: it is loaded only where a drive
// is asked for, and what it does to devices stays apart from what every run needs.
#include "drive-object.h"
#include "extents.h"

namespace ntx::nvme {

namespace {

// fileExtents(path): [offset in the file, offset on the block device, bytes, flags] of every extent
Napi::Value extents(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw Napi::TypeError::New(info.Env(), "path: expected a string");
  const std::vector<FileExtent> found = file_extents(info[0].As<Napi::String>().Utf8Value());
  Napi::Float64Array result = Napi::Float64Array::New(info.Env(), found.size() * 4);
  for (size_t i = 0; i < found.size(); ++i) {
    result[i * 4] = static_cast<double>(found[i].file_offset);
    result[i * 4 + 1] = static_cast<double>(found[i].device_offset);
    result[i * 4 + 2] = static_cast<double>(found[i].bytes);
    result[i * 4 + 3] = found[i].flags;
  }
  return result;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["Drive"] = DriveObject::define(env);
  exports["fileExtents"] = Napi::Function::New(env, extents, "fileExtents");
  Napi::Object internals = Napi::Object::New(env);
  define_internals(env, internals);
  exports["internals"] = internals;
  return exports;
}

}  // namespace

}  // namespace ntx::nvme

namespace {
Napi::Object init_addon(Napi::Env env, Napi::Object exports) { return ntx::nvme::init(env, exports); }
}  // namespace

NODE_API_MODULE(ntx_vfio, init_addon)
