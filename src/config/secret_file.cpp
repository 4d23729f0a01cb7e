#include "config/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <fmt/format.h>

#include "config/text.hpp"

namespace headgate::config {
namespace {

constexpr std::size_t kSecretBytesMax = 4096;

// An open file that closes itself.
class FileDescriptor {
 public:
  // Without waiting for the other end of a pipe.
  explicit FileDescriptor(const std::string& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~FileDescriptor() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// A file name for a message. Somebody may have put the secret itself where its file's name belongs,
// so only what looks like a path is shown.
std::string shown_path(const Scalar& path) {
  return path.shown.find('/') == std::string::npos ? "the file" : path.shown;
}

// Up to one byte more than a secret may have; nothing, and errno, on failure.
std::optional<std::string> read_all(int descriptor) {
  std::string content(kSecretBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(descriptor, content.data() + size, content.size() - size);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return std::nullopt;
    }
    if (count == 0) {
      break;
    }
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);
  return content;
}

void strip_line_end(std::string& content) {
  if (content.ends_with('\n')) {
    content.pop_back();
    if (content.ends_with('\r')) {
      content.pop_back();
    }
  }
}

// False, and a finding, for what is no file of ours alone.
bool is_private_file(const Section& section, const Scalar& path, const FileDescriptor& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    section.fail(path.place, fmt::format("{} is not a regular file", shown_path(path)));
    return false;
  }
  if ((status.st_mode & 0007U) != 0) {
    section.fail(path.place,
                 fmt::format("{} is open to all users of the machine (mode {:04o})",
                             shown_path(path), status.st_mode & 07777U),
                 fmt::format("chmod 0600 {}, or 0640 with the service's group",
                             shown_path(path) == "the file" ? "FILE" : path.shown));
    return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> read_secret_file(const Section& section, std::string_view key) {
  const std::optional<Scalar> path = section.text(key);
  if (!path) {
    return std::nullopt;
  }
  const FileDescriptor file(path->value);
  if (!file.is_open()) {
    section.fail(path->place,
                 fmt::format("cannot open {}: {}", shown_path(*path), std::strerror(errno)),
                 "the key names a file that holds the secret, and nothing else");
    return std::nullopt;
  }
  if (!is_private_file(section, *path, file)) {
    return std::nullopt;
  }
  std::optional<std::string> content = read_all(file.get());
  if (!content) {
    section.fail(path->place,
                 fmt::format("cannot read {}: {}", shown_path(*path), std::strerror(errno)));
    return std::nullopt;
  }
  std::string problem;
  if (content->size() > kSecretBytesMax) {
    problem = fmt::format("larger than {} bytes, which no secret is", kSecretBytesMax);
  } else if (strip_line_end(*content); content->empty()) {
    problem = "empty";
  } else if (content->find('\0') != std::string::npos || find_invalid_utf8(*content)) {
    problem = "not text";
  } else {
    return content;
  }
  section.fail(path->place, fmt::format("{} is {}", shown_path(*path), problem));
  return std::nullopt;
}

}  // namespace headgate::config
