#include "db/sqlite/sqlite_error.hpp"

#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

namespace headgate::db::sqlite {
namespace {

// The primary code is the low byte of an extended one.
int primary_code(int extended_code) {
  return extended_code & 0xFF;
}

std::string hint_for(int extended_code, const std::string& database) {
  switch (primary_code(extended_code)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another connection holds a lock; long write transactions of other programs on this "
             "file delay Headgate";
    case SQLITE_FULL:
      return "free space on the file system of " + database;
    case SQLITE_IOERR:
      return "free space on the file system of " + database + " and look for disk errors in dmesg";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return "give this user write access to " + database + " and to its folder";
    case SQLITE_NOTADB:
      return "move the file away if it is not needed, or correct the path";
    case SQLITE_CORRUPT:
      return "run PRAGMA integrity_check; restore the file, or move it away and copy it anew";
    default:
      return {};
  }
}

}  // namespace

SqliteError::SqliteError(int code, const std::string& message, std::string hint)
    : Error(kind_of(code), message, std::move(hint)), code_(code) {}

bool SqliteError::is_duplicate() const noexcept {
  return code_ == SQLITE_CONSTRAINT_UNIQUE || code_ == SQLITE_CONSTRAINT_PRIMARYKEY ||
         code_ == SQLITE_CONSTRAINT_ROWID;
}

bool SqliteError::is_io_error() const noexcept {
  return primary_code(code_) == SQLITE_IOERR;
}

ErrorKind kind_of(int extended_code) {
  switch (primary_code(extended_code)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:  // lost a race for the WAL's locks too many times
      return ErrorKind::kTransient;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return ErrorKind::kSystemic;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return ErrorKind::kRow;
    default:
      // READONLY, PERM, AUTH, CANTOPEN, NOTADB, CORRUPT, and ERROR (no such table, say). Nothing
      // else is known to pass by itself, so a person decides.
      return ErrorKind::kOperator;
  }
}

SqliteError make_error(int extended_code, const std::string& database, const std::string& what,
                       const std::string& message) {
  return SqliteError{extended_code, fmt::format("{}: {}: {}", database, what, message),
                     hint_for(extended_code, database)};
}

}  // namespace headgate::db::sqlite
