// SQLite's result codes as errors that say what to do about them.

#pragma once

#include <string>

#include "base/error.hpp"

namespace headgate::db::sqlite {

// An Error that keeps SQLite's extended result code, for the few callers that can go on after a
// certain one. Its text never holds SQL or a value: only what was being done and SQLite's message.
class SqliteError : public Error {
 public:
  SqliteError(int code, const std::string& message, std::string hint);

  int code() const noexcept { return code_; }

  // A UNIQUE index or a primary key holds the same key already.
  bool is_duplicate() const noexcept;

  // The operating system failed; of a COMMIT nobody knows what reached the disk.
  bool is_io_error() const noexcept;

 private:
  int code_;
};

// What an extended result code calls for.
ErrorKind kind_of(int extended_code);

// The error for `extended_code`, in `database` (a path) while doing `what` ("open", "write to table
// orders"); `message` is SQLite's own.
SqliteError make_error(int extended_code, const std::string& database, const std::string& what,
                       const std::string& message);

}  // namespace headgate::db::sqlite
