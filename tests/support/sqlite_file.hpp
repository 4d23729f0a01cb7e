// A SQLite database as a test reads and writes it.

#pragma once

#include <memory>
#include <string>

#include "demo/pg_session.hpp"

struct sqlite3;

namespace headgate::test {

// One session with a file that is made when missing. Waits some seconds for a lock. Not
// thread-safe. Throws std::runtime_error with SQLite's message.
class SqliteFile {
 public:
  explicit SqliteFile(const std::string& path);

  void execute(const std::string& script);
  // Values as SQLite's text; no parameters.
  demo::TextRows query(const std::string& sql);
  // The only value, NULL or no row as an empty string.
  std::string value(const std::string& sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace headgate::test
