// A file system layer for SQLite that counts, fails on request, and can die in the middle.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "crash_disk.hpp"

namespace headgate::sink::sqlite::test {

// While it lives, every connection that is opened goes through it, and from there to SQLite's own
// layer and to real files. One at a time. Not thread-safe.
//
// The databases, journals and logs of one folder can lie on a Disk that loses power. Beside each
// real file the Disk then knows what of it is durable. A process that dies is played by this one:
// from the operation on that strikes it, nothing reaches the disk any more and every call fails.
// The WAL-index is memory and dies with the process (SQLite begins a new one when nobody has the
// old one open); temporary files are nobody's afterwards and are left alone.
class PowerCutVfs {
 public:
  PowerCutVfs();
  ~PowerCutVfs();
  PowerCutVfs(const PowerCutVfs&) = delete;
  PowerCutVfs& operator=(const PowerCutVfs&) = delete;

  int wal_syncs() const;
  int database_syncs() const;

  // From now on these calls on the write-ahead log return `code` (SQLITE_FULL, …); SQLITE_OK ends
  // it.
  void fail_wal_writes(int code);
  void fail_wal_syncs(int code);

  // A connection that sets this PRAGMA sets it to `value`, whatever it asked for: for limits that a
  // small test would never reach. `value` may not be longer than what it asks for.
  void fix_pragma(const std::string& name, const std::string& value);

  // Puts `disk` into `folder` instead of all that was there. A new life begins: nothing is dead,
  // and operations count from 0. REQUIRES: nobody has a file of it open.
  void mount(const std::string& folder, Disk disk);

  // As the process has left it: see Disk::after() for what a power cut makes of it.
  const Disk& disk() const;

  // Creating and removing a file, write, truncate and sync of a file or of the folder, since
  // mount().
  std::uint64_t operations() const;

  // The process dies at this operation, from 1: a removal, a sync or a truncation does not happen,
  // a write stops at a page of the operating system's, or before its first byte. `witness` is
  // called at that moment: what this process learns later, the dead one never knew.
  void die_at(std::uint64_t operation, std::function<void()> witness);
  bool dead() const;

  // What the operation was that struck it, with the kind of file: "write log", "begin log" (its
  // header), "sync database", "sync folder", "create journal", "truncate log", "remove journal", …
  const std::string& last_operation() const;
};

}  // namespace headgate::sink::sqlite::test
