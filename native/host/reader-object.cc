#include <cstring>
#include <system_error>

#include "../call-back.h"
#include "binding.h"

namespace ntx {

namespace {

constexpr uint64_t kMaxDepth = 1024;
constexpr uint64_t kPage = 4096;

std::vector<std::string> paths_of(const Napi::Value& value) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), "paths: expected an array");
  const auto array = value.As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); ++i) paths.push_back(array.Get(i).ToString().Utf8Value());
  if (paths.empty()) throw Napi::RangeError::New(value.Env(), "paths: expected one at least");
  return paths;
}

ReaderSettings settings_of(const Napi::CallbackInfo& info) {
  if (!info[1].IsObject()) throw Napi::TypeError::New(info.Env(), "settings: expected an object");
  const auto object = info[1].As<Napi::Object>();
  const auto number = [&](const char* name, uint64_t least, uint64_t most) {
    const double value = object.Get(name).ToNumber().DoubleValue();
    if (value >= static_cast<double>(least) && value <= static_cast<double>(most)) return static_cast<uint64_t>(value);
    throw Napi::RangeError::New(info.Env(), std::string(name) + ": expected a number from " + std::to_string(least) +
                                                " to " + std::to_string(most));
  };
  const auto flag = [&](const char* name) { return object.Get(name).ToBoolean().Value(); };
  ReaderSettings settings;
  settings.io_uring = flag("ioUring");
  settings.direct = flag("direct");
  settings.use_cache = flag("useCache");
  settings.depth = static_cast<unsigned>(number("depth", 1, kMaxDepth));
  settings.max_bytes = static_cast<uint32_t>(number("maxBytes", kPage, uint64_t{1} << 30) / kPage * kPage);
  return settings;
}

Napi::Uint8Array bytes_of(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(value.Env(), "expected a Uint8Array");
  }
  return value.As<Napi::Uint8Array>();
}

const char* name_of(int error) {
  switch (error) {
    case kOk: return "";
    case kEnded: return "ended";
    case kCancelled: return "cancelled";
    case kChanged: return "changed";
    default: return std::strerror(error);
  }
}

/// [id, failure, byte] of each request.
napi_value report_of(napi_env env, const std::vector<std::unique_ptr<Request>>& ended) {
  ReportArray array(env);
  for (const auto& request : ended) {
    array.add(static_cast<double>(request->id));
    array.add(name_of(request->error));
    array.add(static_cast<double>(request->error_offset));
  }
  return array.value();
}

}  // namespace

Napi::Function ReaderObject::define(Napi::Env env) {
  return DefineClass(
      env, "Reader",
      {InstanceMethod<&ReaderObject::read>("read"), InstanceMethod<&ReaderObject::attach>("attach"),
       InstanceMethod<&ReaderObject::files>("files"), InstanceMethod<&ReaderObject::cached>("cached"),
       InstanceMethod<&ReaderObject::statistics>("statistics"), InstanceMethod<&ReaderObject::drop>("drop"),
       InstanceMethod<&ReaderObject::close>("close")});
}

ReaderObject::ReaderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ReaderObject>(info) {
  const Napi::Env env = info.Env();
  const std::vector<std::string> paths = paths_of(info[0]);
  const ReaderSettings settings = settings_of(info);
  if (!info[2].IsFunction()) throw Napi::TypeError::New(env, "onEnded: expected a function");
  attached_ = Napi::Persistent(Napi::Array::New(env).As<Napi::Object>());
  progress_ = Napi::ThreadSafeFunction::New(env, info[2].As<Napi::Function>(), "ntx reader", 0, 1);
  progress_.Unref(env);
  try {
    reader_ = std::make_unique<FileReader>(paths, settings, [this] { on_progress(); });
  } catch (const std::system_error& error) {
    progress_.Release();
    throw Napi::Error::New(env, error.what());
  }
  // Hooks run last first: the threads end before their way to report does.
  napi_add_env_cleanup_hook(env, end, this);
  Ref();  // until it is closed: reports name this object
}

ReaderObject::~ReaderObject() { reader_.reset(); }

void ReaderObject::end(void* self) { static_cast<ReaderObject*>(self)->reader_.reset(); }

// On the reader's threads.
void ReaderObject::on_progress() {
  if (reporting_.exchange(true)) return;
  progress_.NonBlockingCall([this](Napi::Env env, Napi::Function callback) { report(env, callback); });
}

void ReaderObject::report(Napi::Env env, Napi::Function callback) {
  reporting_ = false;  // before taking: what ends later reports again
  if (!reader_) return;
  const std::vector<std::unique_ptr<Request>> ended = reader_->take_ended();
  if (ended.empty()) return;
  for (const auto& request : ended) targets_.erase(request->id);
  if (targets_.empty()) progress_.Unref(env);
  if (napi_value requests = report_of(env, ended)) call_back(env, callback, {requests});
}

FileReader& ReaderObject::open(Napi::Env env) const {
  if (!reader_) throw Napi::Error::New(env, "the reader has been closed");
  return *reader_;
}

// read(file, offset, target): the caller leaves the memory of `target` where it is until the request has ended
Napi::Value ReaderObject::read(const Napi::CallbackInfo& info) {
  FileReader& reader = open(info.Env());
  const uint64_t file = whole_number(info, 0, "file", 0, reader.files() - 1);
  const uint64_t offset = whole_number(info, 1, "offset", 0, kMaxSafeInteger);
  Napi::Uint8Array target = bytes_of(info[2]);
  if (targets_.empty()) progress_.Ref(info.Env());  // Node stays up while something is read
  const uint64_t id = reader.read(file, offset, target.ByteLength(), target.Data());
  targets_.emplace(id, Napi::Reference<Napi::Uint8Array>::New(target, 1));
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

// attach(views): memory that many reads will go to; kept until close()
void ReaderObject::attach(const Napi::CallbackInfo& info) {
  FileReader& reader = open(info.Env());
  if (!info[0].IsArray()) throw Napi::TypeError::New(info.Env(), "views: expected an array");
  const auto views = info[0].As<Napi::Array>();
  auto kept = attached_.Value().As<Napi::Array>();
  std::vector<iovec> memory;
  for (uint32_t i = 0; i < views.Length(); ++i) {
    Napi::Uint8Array view = bytes_of(views.Get(i));
    kept.Set(kept.Length(), view);
    memory.push_back({view.Data(), view.ByteLength()});
  }
  reader.attach(memory);
}

// files(): what the files are, and how direct reads have to be aligned
Napi::Value ReaderObject::files(const Napi::CallbackInfo& info) {
  const FileReader& reader = open(info.Env());
  Napi::Array result = Napi::Array::New(info.Env());
  for (size_t i = 0; i < reader.files(); ++i) {
    const InputFile& file = reader.file(i);
    Napi::Object entry = Napi::Object::New(info.Env());
    entry["bytes"] = Napi::Number::New(info.Env(), static_cast<double>(file.bytes()));
    entry["drive"] = Napi::Number::New(info.Env(), static_cast<double>(file.device()));
    entry["direct"] = Napi::Boolean::New(info.Env(), file.is_direct());
    entry["offsetAlignment"] = Napi::Number::New(info.Env(), file.offset_alignment());
    entry["memoryAlignment"] = Napi::Number::New(info.Env(), file.memory_alignment());
    result[static_cast<uint32_t>(i)] = entry;
  }
  return result;
}

// cached(file, offset, bytes): whether the page cache has all of it, where the reader uses the cache
Napi::Value ReaderObject::cached(const Napi::CallbackInfo& info) {
  const FileReader& reader = open(info.Env());
  const uint64_t file = whole_number(info, 0, "file", 0, reader.files() - 1);
  const uint64_t offset = whole_number(info, 1, "offset", 0, kMaxSafeInteger);
  const uint64_t bytes = whole_number(info, 2, "bytes", 0, kMaxSafeInteger);
  return Napi::Boolean::New(info.Env(), reader.file(file).cached(offset, bytes));
}

Napi::Value ReaderObject::statistics(const Napi::CallbackInfo& info) {
  const FileReader::Statistics numbers = open(info.Env()).statistics();
  Napi::Object result = Napi::Object::New(info.Env());
  result["direct"] = Napi::Number::New(info.Env(), static_cast<double>(numbers.direct));
  result["bounced"] = Napi::Number::New(info.Env(), static_cast<double>(numbers.bounced));
  result["buffered"] = Napi::Number::New(info.Env(), static_cast<double>(numbers.buffered));
  result["peak"] = Napi::Number::New(info.Env(), numbers.peak);
  result["pinned"] = Napi::Boolean::New(info.Env(), numbers.pinned);
  return result;
}

// drop(): what has not begun ends as cancelled
void ReaderObject::drop(const Napi::CallbackInfo&) {
  if (reader_) reader_->drop();
}

// close(): when all requests have ended; waits for those that have not
void ReaderObject::close(const Napi::CallbackInfo& info) {
  if (!reader_) return;
  napi_remove_env_cleanup_hook(info.Env(), end, this);
  reader_.reset();
  attached_.Reset();
  // Reports that are still on their way name this object: it stays until they have come.
  progress_.NonBlockingCall([this](Napi::Env, Napi::Function) { Unref(); });
  progress_.Release();
}

}  // namespace ntx
