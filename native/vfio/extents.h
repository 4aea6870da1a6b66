// Where a file's bytes lie on its block device (FIEMAP, Documentation/filesystems/fiemap.rst of Linux).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ntx::nvme {

struct FileExtent {
  uint64_t file_offset = 0, device_offset = 0, bytes = 0;
  /// FIEMAP_EXTENT_*: the caller judges them.
  uint32_t flags = 0;
};

/// All extents of a file by their offset, after its dirty pages have been written. Throws std::runtime_error.
std::vector<FileExtent> file_extents(const std::string& path);

}  // namespace ntx::nvme
