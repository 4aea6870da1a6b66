#include "container.h"

#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace ntx::nvme {

namespace {

FileDescriptor open_or_fail(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.is_open()) fail_with_errno(path + " cannot be opened");
  return file;
}

}  // namespace

void fail_with_errno(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

Container::Container(const std::string& node, int type, const std::string& absent)
    : container_(open_or_fail("/dev/vfio/vfio")) {
  if (ioctl(file(), VFIO_GET_API_VERSION) != VFIO_API_VERSION) {
    throw std::runtime_error("the kernel's VFIO has another version than 0");
  }
  if (ioctl(file(), VFIO_CHECK_EXTENSION, type) != 1) throw std::runtime_error(absent);
  group_ = open_or_fail(node);
  vfio_group_status status{};
  status.argsz = sizeof(status);
  if (ioctl(group_.get(), VFIO_GROUP_GET_STATUS, &status) != 0) fail_with_errno("VFIO does not tell the group's state");
  if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
    throw std::runtime_error("a device of " + node + " is in the hands of another driver");
  }
  int container = file();
  if (ioctl(group_.get(), VFIO_GROUP_SET_CONTAINER, &container) != 0) fail_with_errno("VFIO does not take the group");
  if (ioctl(file(), VFIO_SET_IOMMU, type) != 0) fail_with_errno("VFIO does not set up the way to memory");
}

FileDescriptor Container::open_device(const std::string& address) const {
  FileDescriptor device(ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, address.c_str()));
  if (!device.is_open()) fail_with_errno("VFIO does not give " + address + " away");
  return device;
}

}  // namespace ntx::nvme
