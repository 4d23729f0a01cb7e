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
  if (used_.fetch_add(bytes) + bytes <= bytes_max_) {
    return;
  }
  used_ -= bytes;
  throw Error{ErrorKind::kSystemic,
              fmt::format("transactions that are not complete yet fill the {} that "
                          "limits.spill_disk allows in {}",
                          mebibytes(bytes_max_), folder_),
              "raise limits.spill_disk, on a disk that has the space; nothing is lost, the source "
              "sends them again"};
}

SpillFile::~SpillFile() {
  space_.release(written_);
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

void SpillFile::append(std::string_view record) {
  const auto size = static_cast<std::uint32_t>(record.size());
  HEADGATE_CHECK(size == record.size(), "a message of the source fits 4 GiB");
  char header[kHeader];
  std::memcpy(header, &size, kHeader);
  buffer_.append(header, kHeader);
  buffer_.append(record);
  if (buffer_.size() >= kBufferBytes) {
    flush();
  }
}

void SpillFile::close() {
  if (!buffer_.empty()) {
    flush();
  }
  buffer_.shrink_to_fit();
}

void SpillFile::open() {
  descriptor_ = ::open(space_.folder().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
    // A file system without nameless files: one with a name, for a moment.
    std::string path = space_.folder() + "/headgate-spill-XXXXXX";
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
  if (descriptor_ < 0) {
    open();
  }
  space_.reserve(buffer_.size());
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t count = ::pwrite(descriptor_, rest.data(), rest.size(),
                                   static_cast<off_t>(written_ + (buffer_.size() - rest.size())));
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      const int reason = errno;
      space_.release(buffer_.size());
      errno = reason;
      fail("write to a spill file");
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  written_ += buffer_.size();
  buffer_.clear();
  if (buffer_.capacity() > 4 * kBufferBytes) {
    buffer_ = {};  // one wide row must not be paid for until the end
  }
}

void SpillFile::read(std::uint64_t offset, char* bytes, std::size_t size) const {
  while (size > 0 && offset < written_) {
    const auto on_disk = static_cast<std::size_t>(std::min<std::uint64_t>(size, written_ - offset));
    const ssize_t count = ::pread(descriptor_, bytes, on_disk, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      errno = count == 0 ? EIO : errno;
      fail("read a spill file");
    }
    bytes += count;
    offset += static_cast<std::uint64_t>(count);
    size -= static_cast<std::size_t>(count);
  }
  if (size > 0) {
    HEADGATE_CHECK(offset + size <= this->size(), "what is read was written");
    std::memcpy(bytes, buffer_.data() + (offset - written_), size);
  }
}

void SpillFile::fail(const char* doing) const {
  const int reason = errno;
  throw Error{ErrorKind::kSystemic,
              fmt::format("cannot {} in {}: {}", doing, space_.folder(),
                          std::generic_category().message(reason)),
              reason == EMFILE || reason == ENFILE
                  ? std::string("too many transactions are in progress at once for the files that "
                                "this process may open: raise LimitNOFILE of its unit")
              : reason == ENOSPC
                  ? std::string("free space there, or put storage.dir on a larger disk; nothing is "
                                "lost, the source sends the transaction again")
                  : std::string("look whether storage.dir can be written to")};
}

SpillReader::SpillReader(std::shared_ptr<const SpillFile> file, std::uint64_t from,
                         std::uint64_t to, std::size_t buffer_bytes)
    : file_(std::move(file)), at_(from), to_(to), buffer_bytes_(buffer_bytes) {
  HEADGATE_CHECK(from <= to && to <= file_->size(), "a part of the file is read");
}

// Makes at least `needed` unread bytes stand in the buffer; false at the end.
bool SpillReader::fill(std::size_t needed) {
  const std::size_t unread = buffer_.size() - buffer_at_;
  if (unread >= needed) {
    return true;
  }
  if (at_ == to_) {
    HEADGATE_CHECK(unread == 0, "a spill file ends with a whole record");
    return false;
  }
  buffer_.erase(0, buffer_at_);
  buffer_at_ = 0;
  const auto more = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::max(needed, buffer_bytes_) - unread, to_ - at_));
  buffer_.resize(unread + more);
  file_->read(at_, buffer_.data() + unread, more);
  at_ += more;
  HEADGATE_CHECK(buffer_.size() >= needed, "a spill file ends with a whole record");
  return true;
}

bool SpillReader::next(std::string_view& record) {
  if (broken(Break::kForgetSpill) || !fill(kHeader)) {
    return false;
  }
  std::uint32_t size = 0;
  std::memcpy(&size, buffer_.data() + buffer_at_, kHeader);
  fill(kHeader + size);
  record = std::string_view(buffer_).substr(buffer_at_ + kHeader, size);
  buffer_at_ += kHeader + size;
  return true;
}

}  // namespace headgate
