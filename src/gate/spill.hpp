// Disk space for transactions that are too large to wait in memory.
//
// What is spilled can be read again from the source, so nothing here is synced, and no file has a
// name: the system takes its space back when the process ends, however it ends.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace headgate {

// One folder and how much may lie in it; shared by all files of a pipeline. Thread-safe.
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
  std::atomic<std::uint64_t> used_ = 0;
};

// Records one after the other. What fits its buffer never touches the disk. Written by one thread;
// once nothing is appended any more, read by any.
//
// Throws Error{kSystemic} when the disk is full or fails.
class SpillFile {
 public:
  static constexpr std::size_t kBufferBytes = std::size_t{64} * 1024;

  // `space` must outlive the file.
  explicit SpillFile(SpillSpace& space) : space_(space) {}
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;
  ~SpillFile();

  void append(std::string_view record);

  // Where the next record would stand.
  std::uint64_t size() const { return written_ + buffer_.size(); }

  // Copies `size` bytes from `offset` on. REQUIRES: they are there.
  void read(std::uint64_t offset, char* bytes, std::size_t size) const;

  // Gives the buffer's memory back, once nothing more is to be appended.
  void close();

 private:
  void open();
  void flush();
  [[noreturn]] void fail(const char* doing) const;

  SpillSpace& space_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;  // bytes on disk
  std::string buffer_;         // behind them
};

// Reads the records of a file, or of a part of it, once. Not thread-safe.
class SpillReader {
 public:
  // From `from` to `to`, both between records. Keeps the file alive.
  SpillReader(std::shared_ptr<const SpillFile> file, std::uint64_t from, std::uint64_t to,
              std::size_t buffer_bytes = SpillFile::kBufferBytes);

  // The next record, valid until the next call; false after the last one.
  bool next(std::string_view& record);

 private:
  bool fill(std::size_t needed);

  std::shared_ptr<const SpillFile> file_;
  std::uint64_t at_;  // what stands behind the buffer
  std::uint64_t to_;
  std::size_t buffer_bytes_;
  std::string buffer_;
  std::size_t buffer_at_ = 0;
};

}  // namespace headgate
