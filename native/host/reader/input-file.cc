#include "input-file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

namespace ntx {

namespace {

/// statx(2), STATX_DIOALIGN (Linux 6.1): where libc's headers are older, the same numbers.
constexpr unsigned kAskAlignment = 0x2000;
constexpr size_t kMemoryAlignmentWord = 38, kOffsetAlignmentWord = 39;

struct Alignments {
  uint32_t memory = 0, offset = 0;
  bool known = false;
};

Alignments direct_alignments(int file) {
  static_assert(sizeof(struct statx) == 256);
  struct statx answer;
  if (statx(file, "", AT_EMPTY_PATH, kAskAlignment, &answer) != 0 || !(answer.stx_mask & kAskAlignment)) return {};
  uint32_t words[sizeof answer / sizeof(uint32_t)];
  std::memcpy(words, &answer, sizeof answer);
  return {words[kMemoryAlignmentWord], words[kOffsetAlignmentWord], true};
}

/// File systems that are memory: some take O_DIRECT, and copy all the same.
bool is_memory(int file) {
  struct statfs system;
  return fstatfs(file, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

/// mincore(2) tells the truth to owners and to those who may write; to others it says that all is resident.
bool may_see_cache(const std::string& path, const struct stat& status) {
  return geteuid() == status.st_uid || access(path.c_str(), W_OK) == 0;
}

}  // namespace

InputFile::InputFile(std::string path, bool direct, bool look_in_cache) : path_(std::move(path)) {
  const auto fail = [&] {
    const int error = errno;
    close_all();
    throw std::system_error(error, std::generic_category(), path_);
  };
  buffered_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (buffered_ < 0 || fstat(buffered_, &opened_) != 0) fail();
  if (S_ISDIR(opened_.st_mode)) {
    errno = EISDIR;
    fail();
  }
  posix_fadvise(buffered_, 0, 0, POSIX_FADV_SEQUENTIAL);
  if (direct && !is_memory(buffered_)) {
    const Alignments told = direct_alignments(buffered_);
    if (!told.known || told.offset > 0) direct_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (told.offset > 0) offset_alignment_ = told.offset;
    if (told.memory > 0) memory_alignment_ = told.memory;
  }
  if (look_in_cache && bytes() > 0 && may_see_cache(path_, opened_)) {
    void* map = mmap(nullptr, bytes(), PROT_READ, MAP_SHARED, buffered_, 0);
    if (map != MAP_FAILED) map_ = static_cast<uint8_t*>(map);
  }
}

InputFile::~InputFile() { close_all(); }

void InputFile::close_all() noexcept {
  if (map_ != nullptr) munmap(map_, bytes());
  if (direct_ >= 0) close(direct_);
  if (buffered_ >= 0) close(buffered_);
}

bool InputFile::cached(uint64_t offset, uint64_t bytes) const {
  if (map_ == nullptr || bytes == 0 || offset >= this->bytes()) return false;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  const uint64_t end = std::min(offset + bytes, this->bytes());
  std::vector<unsigned char> resident((end - begin + page - 1) / page);
  if (mincore(map_ + begin, end - begin, resident.data()) != 0) return false;
  return std::all_of(resident.begin(), resident.end(), [](unsigned char each) { return each & 1; });
}

bool InputFile::changed() const {
  struct stat now;
  return fstat(buffered_, &now) != 0 || now.st_size != opened_.st_size ||
         now.st_mtim.tv_sec != opened_.st_mtim.tv_sec || now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec;
}

uint64_t InputFile::bytes_now() const {
  struct stat now;
  return fstat(buffered_, &now) == 0 ? static_cast<uint64_t>(now.st_size) : bytes();
}

}  // namespace ntx
