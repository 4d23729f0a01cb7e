// A file system that is full soon.

#pragma once

#include <string>

namespace headgate::test {

// A tmpfs of its own on a new folder; gone with the object, whatever lies in it. Only root can make
// one: ask mounted(), and skip the test where it is false.
class SmallDisk {
 public:
  // `size` as mount takes it, such as "3m". `owner_of`: a file or folder to whose owner it belongs;
  // empty: to us.
  SmallDisk(std::string path, const std::string& size, const std::string& owner_of = {});
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }
  // Makes room.
  bool grow(const std::string& size) const;

 private:
  std::string path_;
  bool mounted_ = false;
};

}  // namespace headgate::test
