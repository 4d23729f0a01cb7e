// What a disk holds of a folder's files, and what it may hold after a power cut.
//
// The model, and where it comes from:
//
// - Only sync makes content durable, and only syncing the folder makes names durable: files that
//   were created may be gone, removed ones may be back (fsync(2); sqlite.org/howtocorrupt.html).
// - What was not synced may be there or not, sector by sector and in any order, and a file's size
//   independently of its content: a file that grew may end in garbage
//   (sqlite.org/atomiccommit.html, "Hardware Assumptions"; SQLITE_IOCAP_SEQUENTIAL and _SAFE_APPEND
//   promise better, and neither is claimed here).
// - A sector is always as the operating system held it at some moment since the sync: it writes
// back
//   whole pages of its cache, so a later write to a sector never arrives without the earlier ones.
// - One sector may be torn, half old, half new or garbage: only in the bytes that were written,
// where
//   the device claims powersafe overwrite, in all its bytes otherwise (sqlite.org/psow.html).
// - What was synced stays as it is: bit rot, lost blocks and drives that lie about syncs are no
//   power cut (the last can be switched on, to see that it is noticed).
//
// Harsher than a journaling file system, which would not reorder a folder's names as freely.
//
// A plain value: a copy is a second disk that holds the same.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::sink::sqlite::test {

struct Device {
  std::size_t sector_bytes = 4096;
  // Claimed to SQLite, and kept. SQLite's own layer for Unix claims it
  // (SQLITE_POWERSAFE_OVERWRITE).
  bool powersafe_overwrite = true;
  // False: a drive that reports a sync as done and does nothing.
  bool honours_syncs = true;
};

struct PowerCut {
  enum class Keep {
    kNothing,  // of what was not synced
    kAll,
    kSome,
  };
  Keep keep = Keep::kSome;
  std::uint64_t seed = 0;  // of the choice, with kSome
};

class Disk {
 public:
  using FileId = std::size_t;

  explicit Disk(Device device = {}) : device_(device) {}

  const Device& device() const { return device_; }

  // A file that has been there for long, all of it durable.
  FileId add_durable(const std::string& name, std::string content);

  std::optional<FileId> find(const std::string& name) const;
  FileId create(const std::string& name);
  void remove(const std::string& name);
  void sync_folder();

  void write(FileId file, std::uint64_t offset, std::string_view bytes);
  void truncate(FileId file, std::uint64_t size);
  void sync(FileId file);

  // By name, as a process sees them as long as the power is on.
  std::map<std::string, std::string> files() const;

  // What is there when the power comes back. All of it is durable.
  Disk after(const PowerCut& cut) const;

 private:
  struct Change {
    std::uint64_t offset;  // of a truncation: the new size
    std::string bytes;
    bool truncates;
  };
  struct File {
    std::string durable;
    std::vector<Change> pending;
  };
  // A name without a file: removed.
  using Entry = std::optional<FileId>;
  struct Name {
    Entry durable;
    std::vector<Entry> pending;
    const Entry& current() const { return pending.empty() ? durable : pending.back(); }
  };
  class Choice;

  static void apply(const Change& change, std::string& content);
  static std::string content(const File& file);
  std::string surviving(const File& file, Choice& choice) const;
  void tear_sector(const File& file, Choice& choice, std::string& image) const;

  Device device_;
  std::vector<File> files_;
  std::map<std::string, Name> names_;
};

// Leaves `files` in `folder` and nothing else.
void replace_files(const std::string& folder, const std::map<std::string, std::string>& files);

}  // namespace headgate::sink::sqlite::test
