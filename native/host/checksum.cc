// XXH3 of 64 bits (xxhash.h, BSD): several times faster than a drive on one thread, and one fixed result on every machine.
#define XXH_INLINE_ALL
#include "third-party/xxhash.h"

#include "binding.h"

namespace ntx {

namespace {

/// A checksum on its way through libuv's threads. Plain Node-API: nothing may throw in a worker that is ending.
struct Job {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  napi_ref bytes = nullptr;  // keeps the memory
  const uint8_t* data = nullptr;
  size_t length = 0;
  uint64_t result = 0;
};

void compute(napi_env, void* data) {
  auto& job = *static_cast<Job*>(data);
  job.result = XXH3_64bits(job.data, job.length);
}

void complete(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Job> job(static_cast<Job*>(data));
  napi_delete_reference(env, job->bytes);
  napi_delete_async_work(env, job->work);
  napi_value value = nullptr;
  if (napi_create_bigint_uint64(env, job->result, &value) == napi_ok) {
    napi_resolve_deferred(env, job->deferred, value);
  }
}

}  // namespace

// checksum(bytes): a promise of a BigInt; the caller leaves the bytes as they are until then
Napi::Value checksum(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(env, "expected a Uint8Array");
  }
  auto bytes = info[0].As<Napi::Uint8Array>();
  auto job = std::make_unique<Job>();
  job->data = bytes.Data();
  job->length = bytes.ByteLength();
  napi_value promise = nullptr;
  const napi_value name = Napi::String::New(env, "ntx checksum");
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
      napi_create_reference(env, bytes, 1, &job->bytes) != napi_ok ||
      napi_create_async_work(env, nullptr, name, compute, complete, job.get(), &job->work) != napi_ok ||
      napi_queue_async_work(env, job->work) != napi_ok) {
    throw Napi::Error::New(env, "a checksum could not be started");
  }
  job.release();  // complete() has it
  return Napi::Value(env, promise);
}

}  // namespace ntx
