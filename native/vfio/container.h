// How a process gets hold of a device, and lets it reach memory: VFIO's container with one group
// (Documentation/driver-api/vfio.rst of Linux).
#pragma once

#include <string>

#include "file-descriptor.h"
#include "transport.h"

namespace ntx::nvme {

/// With the step that the kernel refused, and its reason.
[[noreturn]] void fail_with_errno(const std::string& what);

class Container {
 public:
  virtual ~Container() = default;

  /// The file of a device of the group: "0000:02:00.0". Throws std::runtime_error.
  FileDescriptor open_device(const std::string& address) const;

  virtual DmaReach reach() const = 0;
  /// As Transport::map and Transport::unmap.
  virtual uint64_t map(void* address, uint64_t bytes) = 0;
  virtual void unmap(uint64_t iova) = 0;
  /// "VFIO, IOMMU group 4".
  virtual std::string name() const = 0;

 protected:
  /// `node`: the group's file; `type`: VFIO_*_IOMMU; `absent`: what to say where the kernel does not have it. Throws
  /// std::runtime_error with the step that the kernel refused.
  Container(const std::string& node, int type, const std::string& absent);
  int file() const { return container_.get(); }

 private:
  FileDescriptor container_, group_;
};

}  // namespace ntx::nvme
