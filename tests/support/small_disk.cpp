#include "support/small_disk.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace headgate::test {

SmallDisk::SmallDisk(std::string path, const std::string& size, const std::string& owner_of)
    : path_(std::move(path)) {
  constexpr mode_t kOwnersOnly = 0700;
  ::mkdir(path_.c_str(), kOwnersOnly);
  mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  struct stat owner {};
  if (mounted_ && !owner_of.empty() && ::stat(owner_of.c_str(), &owner) == 0) {
    mounted_ = ::chown(path_.c_str(), owner.st_uid, owner.st_gid) == 0;
  }
}

SmallDisk::~SmallDisk() {
  if (mounted_) {
    ::umount2(path_.c_str(), MNT_DETACH);
  }
}

bool SmallDisk::grow(const std::string& size) const {
  return ::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0;
}

}  // namespace headgate::test
