#include "extents.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "file-descriptor.h"

namespace ntx::nvme {

namespace {
constexpr uint32_t kAtOnce = 256;
}

std::vector<FileExtent> file_extents(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw std::runtime_error(path + " cannot be opened: " + std::strerror(errno));
  std::vector<uint64_t> storage((sizeof(fiemap) + kAtOnce * sizeof(fiemap_extent)) / sizeof(uint64_t) + 1);
  std::vector<FileExtent> extents;
  for (uint64_t start = 0;;) {
    std::fill(storage.begin(), storage.end(), 0);
    auto* map = reinterpret_cast<fiemap*>(storage.data());
    map->fm_start = start;
    map->fm_length = FIEMAP_MAX_OFFSET - start;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kAtOnce;
    if (ioctl(file.get(), FS_IOC_FIEMAP, map) != 0) {
      throw std::runtime_error("the file system does not tell where " + path + " lies: " + std::strerror(errno));
    }
    for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& extent = map->fm_extents[i];
      extents.push_back({extent.fe_logical, extent.fe_physical, extent.fe_length, extent.fe_flags});
    }
    if (map->fm_mapped_extents == 0 || (extents.back().flags & FIEMAP_EXTENT_LAST)) return extents;
    start = extents.back().file_offset + extents.back().bytes;
  }
}

}  // namespace ntx::nvme
