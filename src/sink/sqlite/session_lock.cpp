#include "sink/sqlite/session_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::sink::sqlite {
namespace {

std::string holder_of(int file) {
  std::array<char, 32> text{};
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  const std::string_view content(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto digits = content.substr(0, content.find_first_not_of("0123456789"));
  // Empty in the moment between its lock and its writing, and never trusted to be a number.
  return digits.empty() ? "another process" : fmt::format("process {}", digits);
}

void write_own_id(int file) {
  const std::string id = fmt::format("{}\n", getpid());
  // Only for people: whether it succeeds changes nothing.
  if (ftruncate(file, 0) != 0 || pwrite(file, id.data(), id.size(), 0) < 0) {
    return;
  }
}

}  // namespace

SessionLock::SessionLock(const std::string& path)
    : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644)) {
  if (file_ < 0) {
    throw Error{ErrorKind::kOperator,
                fmt::format("cannot open the lock file {}: {}", path, strerror(errno)),
                "give this user write access to it"};
  }
  if (flock(file_, LOCK_EX | LOCK_NB) != 0) {
    const int failure = errno;
    const std::string holder = holder_of(file_);
    close(file_);
    if (failure == EWOULDBLOCK) {
      throw Error{ErrorKind::kLocked, fmt::format("{} is held by {}", path, holder),
                  "only one headgate process writes to a SQLite file; this one waits"};
    }
    throw Error{ErrorKind::kOperator, fmt::format("cannot lock {}: {}", path, strerror(failure)),
                "the file system must support flock(2)"};
  }
  write_own_id(file_);
}

SessionLock::~SessionLock() {
  close(file_);
}

}  // namespace headgate::sink::sqlite
