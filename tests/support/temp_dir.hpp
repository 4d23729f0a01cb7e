// A folder that is gone after the test.

#pragma once

#include <string>

namespace headgate::test {

// Made with mode 0755, so that a test that is root can let another user in. Its path is short
// enough for a Unix socket.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // The path of `name` in it, existing or not.
  std::string path(const std::string& name) const { return path_ + "/" + name; }

  // Writes `text` to a new file `name` and returns its path.
  std::string write(const std::string& name, const std::string& text) const;
  void remove(const std::string& name) const;

 private:
  std::string path_;
};

// All of a file; empty when it cannot be read.
std::string read_file(const std::string& path);

}  // namespace headgate::test
