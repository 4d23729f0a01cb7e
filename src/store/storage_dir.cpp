#include "store/storage_dir.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

Error unusable(const std::string& path, const char* what, int error) {
  return Error{ErrorKind::kSystemic,
               fmt::format("storage.dir {}: cannot {}: {}", path, what, std::strerror(error)),
               error == ENOSPC || error == EDQUOT
                   ? "free space there, or name another folder"
                   : "make it writable for the user that runs headgate, or name another folder"};
}

void write_probe(const std::string& path) {
  const std::string probe = path + "/.headgate-probe";
  const int file = ::open(probe.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  if (file < 0) {
    throw unusable(path, "create a file", errno);
  }
  // A whole page: a full disk still lets empty files be made.
  const std::array<char, 4096> page{};
  const bool written =
      ::write(file, page.data(), page.size()) == static_cast<ssize_t>(page.size()) &&
      ::fsync(file) == 0;
  const int failure = errno;
  ::close(file);
  ::unlink(probe.c_str());
  if (!written) {
    throw unusable(path, "write", failure == 0 ? ENOSPC : failure);
  }
}

}  // namespace

void check_storage_parent(const std::string& path) {
  std::filesystem::path parent = std::filesystem::absolute(path).lexically_normal();
  while (parent.has_relative_path() && !std::filesystem::exists(parent)) {
    parent = parent.parent_path();
  }
  if (!std::filesystem::is_directory(parent)) {
    throw unusable(path, "create the folder", ENOTDIR);
  }
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    throw unusable(path, "create the folder", errno);
  }
}

void prepare_storage_dir(const std::string& path) {
  std::error_code failure;
  if (std::filesystem::create_directories(path, failure)) {
    std::filesystem::permissions(path, std::filesystem::perms(0750), failure);
  } else if (failure) {
    throw unusable(path, "create the folder", failure.value());
  }
  write_probe(path);
}

}  // namespace headgate
