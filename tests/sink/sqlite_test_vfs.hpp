// A file system layer for SQLite that counts syncs and fails on request.

#pragma once

#include <string>

namespace headgate::sink::sqlite::test {

// While it lives, every connection that is opened goes through it. One at a time.
class TestVfs {
 public:
  TestVfs();
  ~TestVfs();
  TestVfs(const TestVfs&) = delete;
  TestVfs& operator=(const TestVfs&) = delete;

  int wal_syncs() const;
  int database_syncs() const;

  // From now on these calls on the write-ahead log return `code` (SQLITE_FULL, …); SQLITE_OK ends
  // it.
  void fail_wal_writes(int code);
  void fail_wal_syncs(int code);
};

}  // namespace headgate::sink::sqlite::test
