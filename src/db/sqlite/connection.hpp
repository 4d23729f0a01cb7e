// One connection to one SQLite database file.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

struct sqlite3;

namespace headgate::db::sqlite {

struct OpenOptions {
  bool create = true;      // the file, when it is missing
  bool read_only = false;  // then nothing is created either
  // How long a statement waits for another connection's lock before it fails as transient.
  std::chrono::milliseconds busy_timeout{5000};
};

// Owns the handle. Statements refer to it, so it neither moves nor copies and must outlive them.
// Not thread-safe; may change threads between two calls.
//
// While one is open, nobody in this process may open and close the same file by other means: that
// would drop SQLite's POSIX locks on it.
//
// All calls throw SqliteError.
class Connection {
 public:
  // `path` is a file name, never a URI (SQLite as Debian builds it would take "file:…" for one), or
  // ":memory:".
  explicit Connection(const std::string& path, const OpenOptions& options = {});
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements without parameters, separated by semicolons, and drops their rows.
  void execute(const std::string& sql);

  // The first column of the first row of `sql`, as text or integer. REQUIRES: there is a row.
  std::string query_text(const std::string& sql);
  std::int64_t query_integer(const std::string& sql);

  // Rows that the last INSERT, UPDATE or DELETE touched itself, without those of its triggers.
  std::int64_t changes() const;

  bool in_transaction() const;

  // The file could only be opened for reading.
  bool read_only() const;

  const std::string& path() const { return path_; }
  sqlite3* handle() const { return handle_; }

  // Throws what `code`, just returned by a call on this connection, means for `what`.
  [[noreturn]] void fail(int code, const std::string& what) const;

 private:
  std::string path_;
  sqlite3* handle_ = nullptr;
};

// `name` as an identifier in SQL, whatever is in it.
std::string quote_identifier(std::string_view name);

}  // namespace headgate::db::sqlite
