#include "gate/spill.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

// Each record stands behind its size in 4 bytes, as this machine writes them: nobody else reads
// them.
constexpr std::size_t kHeader = sizeof(std::uint32_t);

std::string mebibytes(std::uint64_t bytes) {
  return fmt::format("{} MiB", bytes / (1024 * 1024));
}

}  // namespace

SpillSpace::SpillSpace(std::string folder, std::uint64_t bytes_max)
    : folder_(std::move(folder)), bytes_max_(bytes_max) {}

void SpillSpace::reserve(std::uint64_t bytes) {
  if (bytes > bytes_max_ - used_) {
    throw Error{
        ErrorKind::kSystemic,
        fmt::format("transactions that are not committed yet fill the {} that "
                    "limits.spill_disk allows in {}",
                    mebibytes(bytes_max_), folder_),
        "raise limits.spill_disk, on a disk that has the space; nothing is lost, the source "
        "sends them again"};
  }
  used_ += bytes;
}

SpillFile::SpillFile(SpillFile&& other) noexcept
    : space_(other.space_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      written_(std::exchange(other.written_, 0)),
      records_(other.records_),
      buffer_(std::move(other.buffer_)),
      reading_(other.reading_),
      read_at_(other.read_at_),
      buffer_at_(other.buffer_at_) {}

SpillFile::~SpillFile() {
  space_->release(written_);
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void SpillFile::append(std::string_view record) {
  HEADGATE_CHECK(!reading_, "a spill file is written first and then read");
  const auto size = static_cast<std::uint32_t>(record.size());
  HEADGATE_CHECK(size == record.size(), "a message of the source fits 4 GiB");
  char header[kHeader];
  std::memcpy(header, &size, kHeader);
  buffer_.append(header, kHeader);
  buffer_.append(record);
  ++records_;
  if (buffer_.size() >= kBufferBytes) {
    flush();
  }
}

void SpillFile::open() {
  descriptor_ = ::open(space_->folder().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
    // A file system without nameless files: one with a name, for a moment.
    std::string path = space_->folder() + "/headgate-spill-XXXXXX";
    descriptor_ = ::mkostemp(path.data(), O_CLOEXEC);
    if (descriptor_ >= 0) {
      ::unlink(path.c_str());
    }
  }
  if (descriptor_ < 0) {
    fail("create a spill file");
  }
}

void SpillFile::flush() {
  if (broken(Break::kForgetSpill)) {
    buffer_.clear();
    return;
  }
  if (descriptor_ < 0) {
    open();
  }
  space_->reserve(buffer_.size());
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t count = ::pwrite(descriptor_, rest.data(), rest.size(),
                                   static_cast<off_t>(written_ + (buffer_.size() - rest.size())));
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      const int reason = errno;
      space_->release(buffer_.size());
      errno = reason;
      fail("write to a spill file");
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  written_ += buffer_.size();
  buffer_.clear();
}

// Makes at least `needed` unread bytes stand in the buffer, if there are so many; returns how many
// stand there.
std::size_t SpillFile::fill(std::size_t needed) {
  std::size_t unread = buffer_.size() - buffer_at_;
  if (unread >= needed || read_at_ == written_) {
    return unread;
  }
  buffer_.erase(0, buffer_at_);
  buffer_at_ = 0;
  const std::size_t wanted = std::max(needed, kBufferBytes);
  buffer_.resize(
      static_cast<std::size_t>(std::min<std::uint64_t>(wanted, unread + (written_ - read_at_))));
  while (unread < buffer_.size()) {
    const ssize_t count = ::pread(descriptor_, buffer_.data() + unread, buffer_.size() - unread,
                                  static_cast<off_t>(read_at_));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      errno = count == 0 ? EIO : errno;
      fail("read a spill file");
    }
    unread += static_cast<std::size_t>(count);
    read_at_ += static_cast<std::uint64_t>(count);
  }
  return unread;
}

bool SpillFile::next(std::string_view& record) {
  if (!reading_) {
    if (descriptor_ >= 0) {
      flush();
    }
    reading_ = true;
  }
  if (fill(kHeader) < kHeader) {
    return false;
  }
  std::uint32_t size = 0;
  std::memcpy(&size, buffer_.data() + buffer_at_, kHeader);
  HEADGATE_CHECK(fill(kHeader + size) >= kHeader + size, "a spill file ends with a whole record");
  record = std::string_view(buffer_).substr(buffer_at_ + kHeader, size);
  buffer_at_ += kHeader + size;
  return true;
}

void SpillFile::fail(const char* doing) const {
  const int reason = errno;
  throw Error{ErrorKind::kSystemic,
              fmt::format("cannot {} in {}: {}", doing, space_->folder(),
                          std::generic_category().message(reason)),
              reason == ENOSPC
                  ? std::string("free space there, or put storage.dir on a larger disk; nothing is "
                                "lost, the source sends the transaction again")
                  : std::string("look whether storage.dir can be written to")};
}

}  // namespace headgate
