#include "sink/sqlite/database_file.hpp"

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::sink::sqlite {
namespace {

Error refused(const std::string& path, const std::string& reason, const std::string& remedy) {
  return Error{ErrorKind::kOperator, fmt::format("{}: {}", path, reason), remedy};
}

void check_folder(const std::string& path, const std::string& folder) {
  std::error_code failure;
  if (!std::filesystem::is_directory(folder, failure)) {
    throw refused(path, fmt::format("the folder {} does not exist", folder),
                  fmt::format("mkdir -p '{}', writable for this user", folder));
  }
  // Also the folder: SQLite keeps the -wal and -shm files, and we the lock file, beside the
  // database. Asked by doing: a file system may refuse what the permissions allow (root on a
  // read-only one).
  std::string probe = folder + "/.headgate-probe-XXXXXX";
  const int file = mkostemp(probe.data(), O_CLOEXEC);
  if (file >= 0) {
    close(file);
    unlink(probe.c_str());
  } else {
    throw refused(path, fmt::format("the folder {} is not writable: {}", folder, strerror(errno)),
                  "give this user write access to the folder");
  }
}

void check_file_system(const std::string& path, const std::string& folder) {
  struct statfs info {};
  if (statfs(folder.c_str(), &info) != 0) {
    throw refused(path, fmt::format("cannot ask for the file system: {}", strerror(errno)), {});
  }
  if (const auto name = network_file_system(static_cast<unsigned long>(info.f_type))) {
    throw refused(path, fmt::format("it lies on a network file system ({})", *name),
                  "SQLite's WAL is not safe there: use a local disk, or a server as the sink");
  }
}

void check_file(const std::string& path, const std::string& resolved) {
  std::error_code failure;
  const auto status = std::filesystem::status(resolved, failure);
  if (!std::filesystem::exists(status)) {
    return;
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw refused(path, "it is not a file", "name a file in sinks[].path");
  }
  // SQLite would open it for reading only and fail at the first write.
  if (faccessat(AT_FDCWD, resolved.c_str(), R_OK | W_OK, AT_EACCESS) != 0) {
    throw refused(path, fmt::format("the file is not writable: {}", strerror(errno)),
                  "give this user write access to the file");
  }
}

}  // namespace

std::optional<std::string_view> network_file_system(unsigned long magic) {
  // From linux/magic.h and statfs(2). FUSE is not among them: it may well be local.
  constexpr std::array<std::pair<unsigned long, std::string_view>, 12> kNetwork{{
      {0x6969, "NFS"},
      {0x517B, "SMB"},
      {0xFF534D42, "CIFS"},
      {0xFE534D42, "SMB2"},
      {0x01021997, "9p"},
      {0x5346414F, "AFS"},
      {0x73757245, "Coda"},
      {0x564C, "NCP"},
      {0x00C36400, "Ceph"},
      {0x0BD00BD0, "Lustre"},
      {0x01161970, "GFS2"},
      {0x7461636F, "OCFS2"},
  }};
  // Some kernels sign-extend the 32-bit magic.
  for (const auto& [number, name] : kNetwork) {
    if ((magic & 0xFFFFFFFFUL) == number) {
      return name;
    }
  }
  return std::nullopt;
}

std::string check_database_place(const std::string& path) {
  if (path.empty()) {
    throw refused("sinks[].path", "it is empty", "name a file");
  }
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  check_folder(path, absolute.parent_path().string());
  std::error_code failure;
  const std::string resolved = std::filesystem::weakly_canonical(absolute, failure).string();
  if (failure) {
    throw refused(path, "cannot resolve the path: " + failure.message(), {});
  }
  // Behind a symbolic link there may be another folder.
  const std::string folder = std::filesystem::path(resolved).parent_path().string();
  check_folder(path, folder);
  check_file_system(path, folder);
  check_file(path, resolved);
  return resolved;
}

}  // namespace headgate::sink::sqlite
