#include "drive.h"

namespace ntx::nvme {

Drive::Drive(DriveOptions options, Report report)
    : options_(options), report_(std::move(report)), thread_([this] { run(); }) {}

Drive::~Drive() {
  {
    const std::scoped_lock lock(mutex_);
    tasks_.clear();
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
  shut(true);
}

void Drive::post(uint64_t job, std::function<void()> work) {
  {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back({job, std::move(work)});
  }
  changed_.notify_all();
}

void Drive::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    DriveEvent event{task.job, "", {}, 0};
    try {
      task.work();
    } catch (const CommandRefused& error) {
      event.error = error.what();
      event.status = error.status;
    } catch (const std::exception& error) {
      event.error = error.what();
    }
    report_(std::move(event));
  }
}

void Drive::open(uint64_t job, Open open) {
  post(job, [this, open = std::move(open)] {
    try {
      transport_ = open();
      controller_ = std::make_unique<Controller>(*transport_, options_);
      controller_->start();
      const auto done = [this](ReadResult result) {
        report_({result.id, std::move(result.reason), result.status, result.offset});
      };
      const auto lost = [this](std::string reason) { report_({0, std::move(reason), {}, 0}); };
      reader_ = std::make_unique<Reader>(*transport_, *controller_, Reader::Events{done, lost});
      reader_->start();
      open_ = true;
    } catch (...) {
      // A controller that did not come up may still know addresses of memory that is about to be unmapped.
      if (transport_) transport_->cut_off();
      if (reader_) reader_->stop(true);  // of its threads, some may have started
      reader_.reset();
      controller_.reset();
      transport_.reset();
      throw;
    }
  });
}

void Drive::read(uint64_t id, uint8_t* target, uint64_t target_bytes, std::vector<Run> runs) {
  auto job = std::make_shared<Job>();
  job->id = id;
  job->target = target;
  job->target_bytes = target_bytes;
  std::erase_if(runs, [](const Run& run) { return run.bytes == 0; });
  job->runs = std::move(runs);
  reader_->read(std::move(job));
}

void Drive::pin(uint64_t job, uint8_t* address, uint64_t bytes) {
  post(job, [this, address, bytes] {
    if (open_) reader_->pins().add(std::make_shared<Pinned>(*transport_, address, bytes), address);
  });
}

void Drive::unpin(uint64_t job, const uint8_t* address) {
  post(job, [this, address] {
    if (open_) reader_->pins().remove(address);
  });
}

void Drive::probe(uint64_t job, uint32_t namespace_id, uint64_t block, uint32_t blocks, uint64_t prp1, uint64_t prp2) {
  post(job, [=, this] {
    const Status status = probe_now(namespace_id, block, blocks, prp1, prp2);
    if (!status.ok()) throw CommandRefused("the drive refuses the command", status);
  });
}

/// Through the first worker's queue, which is empty meanwhile: no reads are in flight.
Status Drive::probe_now(uint32_t namespace_id, uint64_t block, uint32_t blocks, uint64_t prp1, uint64_t prp2) {
  Worker& worker = *reader_->workers().front();
  const std::scoped_lock lock(worker.mutex());
  if (!transport_->reach().foreign_memory) {
    throw std::runtime_error("no probes without an IOMMU: nothing would stop a write to a wrong address");
  }
  if (!worker.idle()) throw std::runtime_error("a probe while reads are in flight");
  const DmaMemory memory(*transport_, 2 * uint64_t{blocks} * info().block_bytes + 4 * info().page);
  ReadQueue& queue = controller_->queue(0);
  queue.submit(read_blocks(namespace_id, block, blocks, memory.iova_at(prp1), memory.iova_at(prp2)), queue.next_id());
  queue.ring();
  const uint64_t end = transport_->now() + options_.timeout_ns;
  for (;;) {
    if (const std::optional<Completion> completion = queue.take()) {
      queue.ring();
      return completion->status();
    }
    if (transport_->now() > end) {
      transport_->cut_off();
      throw std::runtime_error("the drive did not answer a probe in time");
    }
    transport_->relax();
  }
}

void Drive::close(uint64_t job) {
  post(job, [this] { shut(false); });
}

void Drive::shut(bool drop) {
  open_ = false;
  if (!reader_) return;
  reader_->stop(drop);
  if (!reader_->lost()) controller_->shut_down();
  // Their memory is unmapped now; nothing of the drive's is on its way any more.
  reader_.reset();
  controller_.reset();
  transport_.reset();
}

}  // namespace ntx::nvme
