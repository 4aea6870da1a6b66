#include "drive-object.h"

#include "../call-back.h"
#include "iommu-container.h"
#include "no-iommu-container.h"
#include "vfio.h"

namespace ntx::nvme {

namespace {

constexpr uint64_t kMillisecond = 1'000'000, kMicrosecond = 1'000;

struct View {
  uint8_t* data;
  uint64_t bytes;
};

View view_of(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(value.Env(), "view: expected a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

/// [offset on the drive, bytes, offset in the view] of every run.
std::vector<Run> runs_of(const Napi::Value& value, const View& view) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Napi::TypeError::New(value.Env(), "runs: expected a Float64Array");
  }
  const auto numbers = value.As<Napi::Float64Array>();
  std::vector<Run> runs;
  for (size_t i = 0; i + 2 < numbers.ElementLength(); i += 3) {
    for (size_t j = i; j < i + 3; ++j) {
      if (!(numbers[j] >= 0 && numbers[j] <= 9007199254740991.0)) {
        throw Napi::RangeError::New(value.Env(), "runs: expected whole numbers");
      }
    }
    const Run run{static_cast<uint64_t>(numbers[i]), static_cast<uint64_t>(numbers[i + 1]),
                  static_cast<uint64_t>(numbers[i + 2])};
    if (run.at > view.bytes || run.bytes > view.bytes - run.at) {
      throw Napi::RangeError::New(value.Env(), "runs: one reaches beyond the view");
    }
    runs.push_back(run);
  }
  return runs;
}

DriveOptions options_of(const Napi::Object& object) {
  DriveOptions options;
  options.namespace_id = static_cast<uint32_t>(number_in(object, "namespace", options.namespace_id));
  options.queues = static_cast<uint16_t>(number_in(object, "threads", options.queues));
  options.depth = static_cast<uint16_t>(number_in(object, "depth", options.depth));
  options.command_bytes = static_cast<uint32_t>(number_in(object, "commandBytes", options.command_bytes));
  options.timeout_ns = number_in(object, "timeoutMilliseconds", options.timeout_ns / kMillisecond) * kMillisecond;
  options.spin_ns = number_in(object, "spinMicroseconds", options.spin_ns / kMicrosecond) * kMicrosecond;
  options.interrupts = flag_in(object, "interrupts", options.interrupts);
  return options;
}

Drive::Open opener(const Napi::Object& source, unsigned queues) {
  const std::string kind = source.Get("kind").ToString().Utf8Value();
  if (kind == "sim") {
    auto knobs = std::make_shared<SimKnobs>(sim_knobs(source));
    return [knobs] { return std::make_unique<SimDrive>(std::move(*knobs)); };
  }
  const std::string address = source.Get("address").ToString().Utf8Value();
  const auto group = static_cast<unsigned>(number_in(source, "group", 0));
  const bool no_iommu = flag_in(source, "noIommu", false);
  return [=] {
    std::unique_ptr<Container> container;
    if (no_iommu) {
      container = std::make_unique<NoIommuContainer>(group);
    } else {
      container = std::make_unique<IommuContainer>(group);
    }
    return std::make_unique<VfioTransport>(address, std::move(container), queues + 1);
  };
}

void set(Napi::Object& object, const char* name, uint64_t value) {
  object[name] = Napi::Number::New(object.Env(), static_cast<double>(value));
}

}  // namespace

uint64_t number_in(const Napi::Object& object, const char* name, uint64_t otherwise) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return otherwise;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= 9007199254740991.0)) {
    throw Napi::RangeError::New(object.Env(), std::string(name) + ": expected a whole number");
  }
  return static_cast<uint64_t>(number);
}

bool flag_in(const Napi::Object& object, const char* name, bool otherwise) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? otherwise : value.ToBoolean().Value();
}

Napi::Function DriveObject::define(Napi::Env env) {
  return DefineClass(env, "Drive",
                     {InstanceMethod<&DriveObject::open>("open"), InstanceMethod<&DriveObject::read>("read"),
                      InstanceMethod<&DriveObject::pin>("pin"), InstanceMethod<&DriveObject::unpin>("unpin"),
                      InstanceMethod<&DriveObject::probe>("probe"), InstanceMethod<&DriveObject::close>("close"),
                      InstanceMethod<&DriveObject::info>("info"), InstanceMethod<&DriveObject::stats>("stats")});
}

DriveObject::DriveObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<DriveObject>(info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "options: expected an object");
  if (!info[1].IsFunction()) throw Napi::TypeError::New(info.Env(), "onEvents: expected a function");
  const DriveOptions options = options_of(info[0].As<Napi::Object>());
  queues_ = options.queues;
  events_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "ntx drive", 0, 1);
  events_.Unref(info.Env());
  drive_ = std::make_unique<Drive>(options, [this](DriveEvent event) { on_event(std::move(event)); });
  // Hooks run last first: the drive's threads end before their way to report does.
  napi_add_env_cleanup_hook(info.Env(), end, this);
  Ref();  // until it is closed: events name this object
}

DriveObject::~DriveObject() { drive_.reset(); }

void DriveObject::end(void* self) { static_cast<DriveObject*>(self)->drive_.reset(); }

// On threads of the drive. One call to JavaScript takes all events that have come by then.
void DriveObject::on_event(DriveEvent event) {
  const std::scoped_lock lock(mutex_);
  waiting_.push_back(std::move(event));
  if (reporting_) return;
  reporting_ = true;
  events_.NonBlockingCall([this](Napi::Env env, Napi::Function callback) { deliver(env, callback); });
}

void DriveObject::deliver(Napi::Env env, Napi::Function callback) {
  std::vector<DriveEvent> events;
  {
    const std::scoped_lock lock(mutex_);
    reporting_ = false;
    events.swap(waiting_);
  }
  if (!drive_) {
    if (unref_later_) Unref();
    unref_later_ = false;
    return;
  }
  bool closed = false;
  ReportArray report(env);
  for (const DriveEvent& event : events) {
    if (event.job != 0) unfinished_--;
    closed |= event.job == closing_ && closing_ != 0;
    report.add(static_cast<double>(event.job));
    report.add(event.error);
    report.add(event.status.type);
    report.add(event.status.code);
    report.add(static_cast<double>(event.offset));
  }
  if (unfinished_ == 0) events_.Unref(env);
  if (closed) finish(env);
  if (napi_value array = report.value()) call_back(env, callback, {array});
}

/// After close(): this object may go.
void DriveObject::finish(Napi::Env env) {
  napi_remove_env_cleanup_hook(env, end, this);
  drive_.reset();
  events_.Release();
  const std::scoped_lock lock(mutex_);
  unref_later_ = reporting_;  // a call that is on its way names this object
  if (!unref_later_) Unref();
}

Napi::Value DriveObject::started(Napi::Env env, uint64_t job) {
  if (unfinished_++ == 0) events_.Ref(env);  // Node stays up while something is under way
  return Napi::Number::New(env, static_cast<double>(job));
}

Drive& DriveObject::opened(Napi::Env env) const {
  // After close() the drive's own thread takes it apart.
  if (!drive_ || closing_ != 0 || !drive_->is_open()) throw Napi::Error::New(env, "the drive is not open");
  return *drive_;
}

Napi::Value DriveObject::open(const Napi::CallbackInfo& info) {
  if (!drive_ || jobs_ > 0) throw Napi::Error::New(info.Env(), "a drive is opened once");
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "source: expected an object");
  Drive::Open open = opener(info[0].As<Napi::Object>(), queues_);
  drive_->open(++jobs_, std::move(open));
  return started(info.Env(), jobs_);
}

// read(view, runs): the caller keeps the view as it is until the job has ended
Napi::Value DriveObject::read(const Napi::CallbackInfo& info) {
  Drive& drive = opened(info.Env());
  const View view = view_of(info[0]);
  std::vector<Run> runs = runs_of(info[1], view);
  const uint64_t drive_bytes = drive.info().blocks * drive.info().block_bytes;
  for (const Run& run : runs) {
    if (run.offset > drive_bytes || run.bytes > drive_bytes - run.offset) {
      throw Napi::RangeError::New(info.Env(),
                                  "runs: one reaches beyond the drive's " + std::to_string(drive_bytes) + " bytes");
    }
  }
  const uint64_t job = ++jobs_;
  const Napi::Value number = started(info.Env(), job);
  drive.read(job, view.data, view.bytes, std::move(runs));
  return number;
}

Napi::Value DriveObject::pin(const Napi::CallbackInfo& info) {
  Drive& drive = opened(info.Env());
  const View view = view_of(info[0]);
  drive.pin(++jobs_, view.data, view.bytes);
  return started(info.Env(), jobs_);
}

Napi::Value DriveObject::unpin(const Napi::CallbackInfo& info) {
  Drive& drive = opened(info.Env());
  drive.unpin(++jobs_, view_of(info[0]).data);
  return started(info.Env(), jobs_);
}

// probe({ namespace, block, blocks, prp1, prp2 })
Napi::Value DriveObject::probe(const Napi::CallbackInfo& info) {
  Drive& drive = opened(info.Env());
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "command: expected an object");
  const auto command = info[0].As<Napi::Object>();
  drive.probe(++jobs_, static_cast<uint32_t>(number_in(command, "namespace", 1)), number_in(command, "block", 0),
              static_cast<uint32_t>(number_in(command, "blocks", 1)), number_in(command, "prp1", 0),
              number_in(command, "prp2", 0));
  return started(info.Env(), jobs_);
}

Napi::Value DriveObject::close(const Napi::CallbackInfo& info) {
  if (!drive_ || closing_ != 0) throw Napi::Error::New(info.Env(), "the drive has been closed");
  closing_ = ++jobs_;
  drive_->close(closing_);
  return started(info.Env(), jobs_);
}

Napi::Value DriveObject::info(const Napi::CallbackInfo& call) {
  Drive& drive = opened(call.Env());
  const DriveInfo& info = drive.info();
  Napi::Object result = Napi::Object::New(call.Env());
  result["serial"] = Napi::String::New(call.Env(), info.serial);
  result["model"] = Napi::String::New(call.Env(), info.model);
  result["firmware"] = Napi::String::New(call.Env(), info.firmware);
  result["transport"] = Napi::String::New(call.Env(), drive.transport_name());
  set(result, "version", info.version);
  set(result, "blockBytes", info.block_bytes);
  set(result, "bytes", info.blocks * info.block_bytes);
  set(result, "commandBytes", info.command_bytes);
  set(result, "transferLimit", info.transfer_limit);
  set(result, "threads", info.queues);
  set(result, "depth", info.depth);
  result["interrupts"] = Napi::Boolean::New(call.Env(), info.interrupts);
  result["hugePages"] = Napi::Boolean::New(call.Env(), info.huge_pages);
  return result;
}

Napi::Value DriveObject::stats(const Napi::CallbackInfo& info) {
  Drive& drive = opened(info.Env());
  const ReaderStats& stats = drive.stats();
  Napi::Object result = Napi::Object::New(info.Env());
  set(result, "commands", stats.commands);
  set(result, "bytes", stats.bytes);
  set(result, "bouncedBytes", stats.bounced_bytes);
  set(result, "retries", stats.retries);
  set(result, "aborts", stats.aborts);
  set(result, "resets", stats.resets);
  set(result, "sleeps", stats.sleeps);
  if (auto* sim = dynamic_cast<SimDrive*>(&drive.transport())) {
    Napi::Array opcodes = Napi::Array::New(info.Env());
    for (const uint16_t opcode : sim->opcodes()) opcodes[opcodes.Length()] = Napi::Number::New(info.Env(), opcode);
    result["opcodes"] = opcodes;
    set(result, "dmaFaults", sim->dma_faults());
    set(result, "mappedBytes", sim->mapped_bytes());
  }
  return result;
}

}  // namespace ntx::nvme
