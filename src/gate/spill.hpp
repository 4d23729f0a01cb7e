// Disk space for transactions that are too large to wait in memory.
//
// What is spilled can be read again from the source, so nothing here is synced, and no file has a
// name: the system takes its space back when the process ends, however it ends.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

// One folder and how much may lie in it; shared by all files of a pipeline. Not thread-safe.
class SpillSpace {
 public:
  // The folder must exist when the first file grows beyond its buffer.
  SpillSpace(std::string folder, std::uint64_t bytes_max);

  const std::string& folder() const { return folder_; }
  std::uint64_t used() const { return used_; }

  // Throws Error{kSystemic} when `bytes` more would be too many.
  void reserve(std::uint64_t bytes);
  void release(std::uint64_t bytes) { used_ -= bytes; }

 private:
  std::string folder_;
  std::uint64_t bytes_max_;
  std::uint64_t used_ = 0;
};

// A run of records: appended first, then read once from the start. What fits the buffer never
// touches the disk. Movable, not thread-safe.
//
// Throws Error{kSystemic} when the disk is full or fails.
class SpillFile {
 public:
  static constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;

  // `space` must outlive the file.
  explicit SpillFile(SpillSpace& space) : space_(&space) {}
  SpillFile(SpillFile&& other) noexcept;
  SpillFile& operator=(SpillFile&& other) = delete;
  SpillFile(const SpillFile&) = delete;
  ~SpillFile();

  void append(std::string_view record);

  // The next record, valid until the next call; false after the last one. REQUIRES: no append()
  // follows.
  bool next(std::string_view& record);

  std::uint64_t records() const { return records_; }

 private:
  void open();
  void flush();
  std::size_t fill(std::size_t needed);
  [[noreturn]] void fail(const char* doing) const;

  SpillSpace* space_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;  // bytes on disk
  std::uint64_t records_ = 0;
  std::string buffer_;  // not yet written; while reading: read and not yet handed out

  bool reading_ = false;
  std::uint64_t read_at_ = 0;  // in the file
  std::size_t buffer_at_ = 0;
};

}  // namespace headgate
