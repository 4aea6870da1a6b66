#include "file-reader.h"

#include <algorithm>
#include <utility>

#include "../mapping.h"

namespace ntx {

FileReader::FileReader(const std::vector<std::string>& paths, const ReaderSettings& settings, Progress on_progress)
    : settings_(settings), on_progress_(std::move(on_progress)) {
  for (const std::string& path : paths) {
    files_.push_back(std::make_unique<InputFile>(path, settings.direct, settings.direct && settings.use_cache));
  }
  for (const auto& file : files_) {
    std::unique_ptr<Drive>& drive = drives_[file->device()];
    if (drive) continue;
    const auto on_ended = [this](const Piece& piece, Outcome outcome) { ended(piece, outcome); };
    drive = std::make_unique<Drive>(DriveSettings{settings.depth, settings.io_uring}, on_ended);
  }
}

FileReader::~FileReader() = default;

uint64_t FileReader::read(size_t file, uint64_t offset, uint64_t bytes, uint8_t* to) {
  auto request = std::make_unique<Request>();
  request->id = ++requests_;
  request->file = files_[file].get();
  request->offset = offset;
  request->bytes = bytes;
  request->to = to;
  // Node frees a worker's external memory before it runs the hook that waits for our threads.
  request->memory = Mapping::around(to);
  const std::vector<Piece> pieces = split(*request);
  Request& started = *request.release();  // its last piece hands it to ended_
  started.pieces = static_cast<uint32_t>(pieces.size());
  if (pieces.empty()) {
    finish(started);
    return requests_;
  }
  drives_.at(started.file->device())->enqueue(pieces);
  return requests_;
}

std::vector<Piece> FileReader::split(Request& request) const {
  const InputFile& file = *request.file;
  const uint64_t begin = request.offset, end = begin + request.bytes;
  std::vector<Piece> pieces;
  if (!file.is_direct()) {
    add(pieces, request, begin, end, Way::buffered);
    return pieces;
  }
  const uint64_t unit = file.offset_alignment();
  const uint64_t body = std::min((begin + unit - 1) / unit * unit, end);
  const uint64_t tail = std::max(end / unit * unit, body);
  const bool fits = reinterpret_cast<uintptr_t>(request.to + (body - begin)) % file.memory_alignment() == 0;
  add(pieces, request, begin, body, Way::bounced);
  add(pieces, request, body, tail, fits ? Way::direct : Way::bounced);
  add(pieces, request, tail, end, Way::bounced);
  return pieces;
}

void FileReader::add(std::vector<Piece>& pieces, Request& request, uint64_t offset, uint64_t end, Way way) const {
  const uint64_t unit = request.file->offset_alignment();
  // Whole blocks; one at least, where the file system's are larger than that.
  const uint64_t most = std::max(settings_.max_bytes / unit * unit, unit);
  while (offset < end) {
    // Cut between blocks: what a bounced piece reads of its ends' blocks counts as well.
    const uint64_t bytes = std::min(most - offset % unit, end - offset);
    const Way taken = way != Way::buffered && request.file->cached(offset, bytes) ? Way::buffered : way;
    pieces.push_back({&request, offset, static_cast<uint32_t>(bytes), taken, request.to + (offset - request.offset)});
    offset += bytes;
  }
}

void FileReader::ended(const Piece& piece, Outcome outcome) {
  Request& request = *piece.request;
  ++pieces_[static_cast<size_t>(piece.way)];
  if (outcome.error != kOk && !request.failed.exchange(true)) {
    request.error = outcome.error;
    request.error_offset = outcome.offset;
  }
  if (request.pieces.fetch_sub(1, std::memory_order_acq_rel) == 1) finish(request);
}

void FileReader::finish(Request& request) {
  if (request.error == kEnded) request.error_offset = std::min(request.error_offset, request.file->bytes_now());
  // What another program is writing may be of two versions, however well it was read.
  if (request.error == kOk && request.file->changed()) {
    request.error = kChanged;
    request.error_offset = request.offset;
  }
  {
    std::lock_guard lock(mutex_);
    ended_.emplace_back(&request);
  }
  on_progress_();
}

std::vector<std::unique_ptr<Request>> FileReader::take_ended() {
  std::lock_guard lock(mutex_);
  return std::exchange(ended_, {});
}

void FileReader::drop() {
  for (auto& [device, drive] : drives_) drive->drop();
}

void FileReader::attach(const std::vector<iovec>& memory) {
  for (auto& [device, drive] : drives_) drive->attach(memory);
}

FileReader::Statistics FileReader::statistics() const {
  Statistics all;
  all.direct = pieces_[static_cast<size_t>(Way::direct)];
  all.bounced = pieces_[static_cast<size_t>(Way::bounced)];
  all.buffered = pieces_[static_cast<size_t>(Way::buffered)];
  for (const auto& [device, drive] : drives_) {
    all.peak = std::max(all.peak, drive->peak());
    all.pinned |= drive->has_pinned();
  }
  return all;
}

}  // namespace ntx
