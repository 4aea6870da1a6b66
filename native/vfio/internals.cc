// What only tests call: the pure parts by themselves, and the whole driver against the simulated drive in simulated
// time.
#include "drive-object.h"
#include "physical-address.h"
#include "prp.h"

namespace ntx::nvme {

namespace {

double as_number(uint64_t value) { return static_cast<double>(value); }

uint64_t argument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
}

// prps(iova, bytes, page, listIova): [first, second, ...entries of the list]
Napi::Value prps(const Napi::CallbackInfo& info) {
  const uint64_t bytes = argument(info, 1), page = argument(info, 2);
  std::vector<uint64_t> list(prp_list_pages(bytes, page) * page / sizeof(uint64_t));
  const Prps prps = build_prps(argument(info, 0), bytes, page, list.data(), argument(info, 3));
  Napi::Float64Array result = Napi::Float64Array::New(info.Env(), 2 + list.size());
  result[0] = as_number(prps.first);
  result[1] = as_number(prps.second);
  for (size_t i = 0; i < list.size(); ++i) result[2 + i] = as_number(list[i]);
  return result;
}

// hugePageAddress(entries, page): the physical address from entries of a pagemap
Napi::Value huge_page(const Napi::CallbackInfo& info) {
  const auto numbers = info[0].As<Napi::BigUint64Array>();
  const std::vector<uint64_t> entries(numbers.Data(), numbers.Data() + numbers.ElementLength());
  return Napi::Number::New(info.Env(), as_number(huge_page_address(entries, argument(info, 1))));
}

// pieces(offset, bytes, at, address, direct, blockBytes, directBytes, bounceBytes): [block, blocks, bounce, skip,
// bytes, at]...
Napi::Value pieces(const Napi::CallbackInfo& info) {
  const Run run{argument(info, 0), argument(info, 1), argument(info, 2)};
  const PieceLimits limits{static_cast<uint32_t>(argument(info, 5)), static_cast<uint32_t>(argument(info, 6)),
                           static_cast<uint32_t>(argument(info, 7))};
  std::vector<Piece> pieces;
  plan_pieces(run, argument(info, 3), info[4].ToBoolean(), limits, pieces);
  Napi::Float64Array result = Napi::Float64Array::New(info.Env(), pieces.size() * 6);
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    const uint64_t fields[] = {piece.block, piece.blocks, piece.bounce, piece.skip, piece.bytes, piece.at};
    for (size_t j = 0; j < 6; ++j) result[i * 6 + j] = as_number(fields[j]);
  }
  return result;
}

/// A pair of rings over one array of each kind, as driver and controller share them.
class Rings : public Napi::ObjectWrap<Rings> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Rings",
                       {InstanceMethod<&Rings::put>("put"), InstanceMethod<&Rings::fetch>("fetch"),
                        InstanceMethod<&Rings::answer>("answer"), InstanceMethod<&Rings::take>("take"),
                        InstanceMethod<&Rings::room>("room")});
  }

  // new Rings(entries, slots)
  explicit Rings(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Rings>(info),
        commands_(argument(info, 0)),
        completions_(argument(info, 0)),
        submission_(commands_.data(), static_cast<uint16_t>(commands_.size())),
        completion_(completions_.data(), static_cast<uint16_t>(completions_.size())),
        slots_(static_cast<uint16_t>(argument(info, 1))) {}

 private:
  // room(): commands that may be put in now
  Napi::Value room(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), std::min(submission_.room(), slots_.free()));
  }
  // put(): the number of a command that is now in the ring
  Napi::Value put(const Napi::CallbackInfo& info) {
    const uint16_t id = slots_.take();
    Command command;
    command.opcode_and_id = static_cast<uint32_t>(id) << 16;
    submission_.push(command);
    return Napi::Number::New(info.Env(), id);
  }
  // fetch(): the controller takes the next command's number, or -1
  Napi::Value fetch(const Napi::CallbackInfo& info) {
    if (head_ == submission_.tail()) return Napi::Number::New(info.Env(), -1);
    const uint32_t id = commands_[head_].opcode_and_id >> 16;
    head_ = (head_ + 1) % commands_.size();
    return Napi::Number::New(info.Env(), id);
  }
  // answer(id): the controller's completion of a command
  void answer(const Napi::CallbackInfo& info) {
    Completion& entry = completions_[tail_];
    entry.id = static_cast<uint16_t>(argument(info, 0));
    entry.submission_head = static_cast<uint16_t>(head_);
    entry.status_and_phase = phase_;
    tail_ = (tail_ + 1) % completions_.size();
    if (tail_ == 0) phase_ ^= 1;
  }
  // take(): the number of the next completed command, -1: there is none, -2: it was not in flight
  Napi::Value take(const Napi::CallbackInfo& info) {
    const std::optional<Completion> completion = completion_.take();
    if (!completion) return Napi::Number::New(info.Env(), -1);
    submission_.consumed_to(completion->submission_head);
    return Napi::Number::New(info.Env(), slots_.release(completion->id) ? completion->id : -2);
  }

  std::vector<Command> commands_;
  std::vector<Completion> completions_;
  SubmissionRing submission_;
  CompletionRing completion_;
  CommandSlots slots_;
  size_t head_ = 0, tail_ = 0;  // the controller's side
  uint16_t phase_ = 1;
};

/// A space of addresses: take(bytes, alignment) and giveBack(address, bytes).
class Space : public Napi::ObjectWrap<Space> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "IovaSpace",
                       {InstanceMethod<&Space::take>("take"), InstanceMethod<&Space::give_back>("giveBack")});
  }

  // new IovaSpace(first, last, first, last, ...)
  explicit Space(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Space>(info), space_({}) {
    std::vector<IovaRange> ranges;
    for (size_t i = 0; i + 1 < info.Length(); i += 2) ranges.push_back({argument(info, i), argument(info, i + 1)});
    space_ = IovaSpace(ranges);
  }

 private:
  Napi::Value take(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), as_number(space_.take(argument(info, 0), argument(info, 1))));
  }
  void give_back(const Napi::CallbackInfo& info) { space_.give_back(argument(info, 0), argument(info, 1)); }

  IovaSpace space_;
};

// simulate({ ...knobs, depth, commandBytes }, bytes): { seconds, busySeconds } of one thread's reading, in simulated
// time
Napi::Value simulate(const Napi::CallbackInfo& info) {
  const auto settings = info[0].As<Napi::Object>();
  const uint64_t bytes = argument(info, 1);
  SimKnobs knobs = sim_knobs(settings);
  knobs.virtual_clock = true;
  SimDrive drive(std::move(knobs));
  DriveOptions options;
  options.depth = static_cast<uint16_t>(number_in(settings, "depth", options.depth));
  options.command_bytes = static_cast<uint32_t>(number_in(settings, "commandBytes", options.command_bytes));
  Controller controller(drive, options);
  controller.start();
  const uint64_t piece = 64 << 20;
  const DmaMemory target(drive, piece);
  size_t unfinished = 0;
  Reader reader(drive, controller, {[&](const ReadResult&) { unfinished--; }, [](const std::string&) {}});
  const uint64_t begin = drive.now();
  for (uint64_t offset = 0; offset < bytes; offset += piece) {
    auto job = std::make_shared<Job>();
    job->id = offset + 1;
    job->target = target.data();
    job->target_bytes = piece;
    job->runs.push_back({offset, std::min(piece, bytes - offset), 0});
    unfinished++;
    reader.read(std::move(job));
  }
  Worker& worker = *reader.workers().front();
  while (unfinished > 0) {
    if (!worker.turn()) drive.relax();
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result["seconds"] = Napi::Number::New(info.Env(), as_number(drive.now() - begin) / 1e9);
  result["busySeconds"] = Napi::Number::New(info.Env(), as_number(drive.busy_ns()) / 1e9);
  return result;
}

SimFault fault_of(const Napi::Object& source) {
  SimFault fault;
  const std::string kind = source.Get("kind").ToString().Utf8Value();
  fault.kind = kind == "status"  ? SimFault::Kind::kStatus
               : kind == "stall" ? SimFault::Kind::kStall
               : kind == "fatal" ? SimFault::Kind::kFatal
                                 : SimFault::Kind::kGone;
  fault.command = number_in(source, "command", 0);
  fault.times = number_in(source, "times", 1);
  fault.type = static_cast<uint8_t>(number_in(source, "type", 0));
  fault.code = static_cast<uint8_t>(number_in(source, "code", 0));
  fault.do_not_retry = flag_in(source, "doNotRetry", false);
  fault.abortable = flag_in(source, "abortable", true);
  fault.nanoseconds = number_in(source, "nanoseconds", 0);
  return fault;
}

}  // namespace

SimKnobs sim_knobs(const Napi::Object& source) {
  SimKnobs knobs;
  if (source.Has("serial")) knobs.serial = source.Get("serial").ToString().Utf8Value();
  knobs.bytes = number_in(source, "bytes", knobs.bytes);
  knobs.block_bytes = static_cast<uint32_t>(number_in(source, "blockBytes", knobs.block_bytes));
  knobs.mdts = static_cast<uint8_t>(number_in(source, "mdts", knobs.mdts));
  knobs.max_entries = static_cast<uint16_t>(number_in(source, "maxEntries", knobs.max_entries));
  knobs.queues = static_cast<uint16_t>(number_in(source, "queues", knobs.queues));
  knobs.doorbell_shift = static_cast<uint8_t>(number_in(source, "doorbellShift", knobs.doorbell_shift));
  knobs.interrupts = flag_in(source, "hasInterrupts", knobs.interrupts);
  knobs.never_ready = flag_in(source, "neverReady", knobs.never_ready);
  knobs.removal_requested = flag_in(source, "removalRequested", knobs.removal_requested);
  knobs.no_iommu = flag_in(source, "noIommu", knobs.no_iommu);
  knobs.lock_limit = number_in(source, "lockLimit", knobs.lock_limit);
  knobs.latency_ns = number_in(source, "latencyNanoseconds", knobs.latency_ns);
  knobs.jitter_ns = number_in(source, "jitterNanoseconds", knobs.jitter_ns);
  knobs.bytes_per_second = number_in(source, "bytesPerSecond", knobs.bytes_per_second);
  knobs.cpu_ns = number_in(source, "cpuNanoseconds", knobs.cpu_ns);
  if (source.Get("faults").IsArray()) {
    const auto faults = source.Get("faults").As<Napi::Array>();
    for (uint32_t i = 0; i < faults.Length(); ++i) knobs.faults.push_back(fault_of(faults.Get(i).As<Napi::Object>()));
  }
  if (source.Get("data").IsTypedArray()) {
    auto data = source.Get("data").As<Napi::Uint8Array>();
    knobs.data.assign(data.Data(), data.Data() + data.ByteLength());
  }
  return knobs;
}

void define_internals(Napi::Env env, Napi::Object exports) {
  exports["prps"] = Napi::Function::New(env, prps, "prps");
  exports["hugePageAddress"] = Napi::Function::New(env, huge_page, "hugePageAddress");
  exports["pieces"] = Napi::Function::New(env, pieces, "pieces");
  exports["Rings"] = Rings::define(env);
  exports["IovaSpace"] = Space::define(env);
  exports["simulate"] = Napi::Function::New(env, simulate, "simulate");
}

}  // namespace ntx::nvme
