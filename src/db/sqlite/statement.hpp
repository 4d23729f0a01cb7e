// A prepared statement, and the rows of one run of it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "db/sqlite/connection.hpp"

struct sqlite3_stmt;

namespace headgate::db::sqlite {

class Statement;

// One run of a statement that returns rows; resets the statement when it goes, whatever happened.
// Views that it returns are valid until the next next().
class Rows {
 public:
  explicit Rows(Statement& statement) : statement_(&statement) {}
  ~Rows();
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  // Moves to the next row, or returns false after the last one.
  bool next();

  // Columns count from 0.
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;  // the bytes of TEXT and of BLOB; empty for NULL

 private:
  Statement* statement_;
};

// Keeps its bindings from run to run. Parameters count from 1, as in SQL.
//
// All calls throw SqliteError that names `what` the statement is for, never its SQL.
class Statement {
 public:
  // `sql` is one statement, `what` says in an error what it was doing: "write to table orders".
  Statement(Connection& connection, std::string_view sql, std::string what);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind_null(int parameter);
  void bind_integer(int parameter, std::int64_t value);
  void bind_real(int parameter, double value);

  // These two do not copy: the bytes must stay where they are until the statement has run.
  void bind_text(int parameter, std::string_view value);
  void bind_blob(int parameter, std::string_view value);

  void bind_text_copy(int parameter, std::string_view value);
  void bind_blob_copy(int parameter, std::string_view value);

  // Runs to the end, dropping rows, and resets, also when it throws.
  void run();

  // Starts a run whose rows are wanted. REQUIRES: no other Rows of this statement is alive.
  Rows rows() { return Rows(*this); }

  Connection& connection() const { return connection_; }

 private:
  friend class Rows;

  void check(int code);

  Connection& connection_;
  std::string what_;
  sqlite3_stmt* handle_ = nullptr;
};

}  // namespace headgate::db::sqlite
