// One file of a model, open for reading past the page cache and through it.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace ntx {

class InputFile {
 public:
  /// Throws std::system_error. `direct`: try O_DIRECT. `look_in_cache`: let cached() look.
  InputFile(std::string path, bool direct, bool look_in_cache);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return static_cast<uint64_t>(opened_.st_size); }
  /// The drive, as far as the system tells drives apart.
  dev_t device() const { return opened_.st_dev; }

  bool is_direct() const { return direct_ >= 0 && !refused_.load(std::memory_order_relaxed); }
  /// Descriptors: of O_DIRECT (-1 where the file system has none), and of reads through the page cache.
  int direct() const { return direct_; }
  int buffered() const { return buffered_; }
  /// What offsets and lengths, and what addresses of direct reads are multiples of.
  uint32_t offset_alignment() const { return offset_alignment_; }
  uint32_t memory_alignment() const { return memory_alignment_; }
  /// The file system has refused a direct read that it should take: no more of them.
  void refuse_direct() { refused_.store(true, std::memory_order_relaxed); }

  /// Whether the page cache has all of a range, as far as this process may know.
  bool cached(uint64_t offset, uint64_t bytes) const;

  /// Whether the file has been written to since it was opened.
  bool changed() const;
  /// Its length now, which another program may have changed.
  uint64_t bytes_now() const;

 private:
  void close_all() noexcept;

  const std::string path_;
  struct stat opened_ {};
  int buffered_ = -1, direct_ = -1;
  uint32_t offset_alignment_ = 4096, memory_alignment_ = 4096;
  std::atomic<bool> refused_{false};
  uint8_t* map_ = nullptr;  // never touched: only asked for what is resident
};

}  // namespace ntx
