// A statement, its parameters and the rows of its results.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "db/odbc/connection.hpp"
#include "db/odbc/parameters.hpp"
#include "db/odbc/row_buffer.hpp"

namespace headgate::odbc {

// Runs one text again and again, or another each time. Parameters are question marks; they count
// from 1 and keep their values from run to run, columns count from 0. `cancel()` apart, of one
// thread with its connection, which must outlive it.
//
// A result is read to its end or closed before anything else runs on the connection. Every call
// throws OdbcError (see Connection), and then the result is closed; of what next() returned before
// that, everything was there, and nothing says that it was all.
class Statement {
 public:
  // `doing` completes "cannot …" in errors: "read change table cdc.dbo_orders_CT".
  Statement(Connection& connection, std::string doing);
  // Closes the result: if it has unread rows, the server is told and its answer awaited.
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // In place of the connection's statement_timeout; zero: for ever. For each wait for the server,
  // not for a result as a whole.
  void set_timeout(Duration limit);
  // Of a value of unlimited length, as the driver hands it over (two bytes per unit of text).
  void set_value_bytes_max(std::size_t bytes) { value_bytes_max_ = bytes; }

  // For execute() without a text. The server sees the text at the first run only. Prepare anew
  // after a column's type has changed.
  void prepare(std::string_view sql);

  // The values are copied. Throw Error{kOperator} for text that is not UTF-8.
  void bind_text(SQLUSMALLINT parameter, std::string_view utf8);
  void bind_binary(SQLUSMALLINT parameter, std::string_view bytes);  // binary(n): an LSN
  void bind_varbinary(SQLUSMALLINT parameter, std::string_view bytes);
  void bind_integer(SQLUSMALLINT parameter, std::int64_t value);
  void bind_real(SQLUSMALLINT parameter, double value);
  void bind_null(SQLUSMALLINT parameter, ParameterType type);

  // Runs up to the first result with rows, or to the end.
  void execute();                      // REQUIRES: prepare()
  void execute(std::string_view sql);  // directly; parameters are sent along

  // Of the current result; none when there is no more.
  const std::vector<ColumnInfo>& columns() const { return columns_; }
  // In place of default_fetch() for the columns of the current result. REQUIRES: as many as
  // columns, before its first next().
  void fetch_as(std::vector<FetchAs> kinds) { fetch_as_ = std::move(kinds); }

  // Moves to the next row of the current result. False says that it was complete: everything behind
  // it up to the next result with rows has been looked at, where servers put errors of a result
  // whose rows arrived.
  bool next();
  // After next() returned false: moves to the next result with rows, if there is one.
  bool next_result();
  // Runs to the end of all results and drops their rows.
  void drain();
  // Drops what is unread. The connection can be used again.
  void close();

  // Rows that the statements without rows touched, up to the first result with rows: FreeTDS passes
  // over counts behind rows that are fetched in arrays.
  std::int64_t affected() const { return affected_; }

  // Of the current row. Views are valid until the next call that is not one of these.
  bool is_null(std::size_t column) const { return rows_->is_null(column); }
  std::int64_t integer(std::size_t column) const { return rows_->integer(column); }
  double real(std::size_t column) const { return rows_->real(column); }
  // UTF-8 of kText and kPrinted, the bytes of kBytes. Empty for NULL. Throws Error{kRow} for text
  // that UTF-8 cannot hold.
  std::string_view bytes(std::size_t column);
  std::string text(std::size_t column) { return std::string(bytes(column)); }

  // Ends the run that is under way: the call that waits for the server returns soon, or the next
  // one throws, with OdbcError::cancelled(). From any thread while the statement exists; returns
  // within some 20 ms, and the other thread soon after the server has answered. What is run next is
  // not affected.
  //
  // Meant for shutting down. unixODBC does not guard a statement's records against SQLCancel, so do
  // not use it where statements fail at the same time as a matter of course: that is what time-outs
  // are for.
  void cancel();

 private:
  class Call;

  void start(SQLRETURN code);
  void check(SQLRETURN code);
  void begin_run();
  bool advance();
  void describe();
  void bind_rows();
  SQLRETURN fetch_array();
  SQLRETURN fetch_long();
  Error in_context(const Error& error) const;
  bool begin_call();
  bool was_cancelled();
  void forget_result();

  Connection& connection_;
  std::string doing_;
  StatementHandle handle_;
  Parameters parameters_;
  std::size_t value_bytes_max_ = std::size_t{1} << 30;
  std::int64_t affected_ = 0;
  bool rows_seen_ = false;  // of this run: a result with rows
  std::vector<ColumnInfo> columns_;
  std::vector<FetchAs> fetch_as_;
  std::unique_ptr<RowBuffer> rows_;  // from the first next() of a result
  bool open_ = false;                // the driver has a result, or more results may follow
  bool at_next_result_ = false;      // next() has come upon another result with rows

  // For cancel(). FreeTDS 1.3.17 takes a cancellation well while its thread waits in a call.
  // Between two calls it does the work in the canceller's thread, and the next SQLFetch may wait
  // for ever (seen in one run of a hundred).
  std::mutex mutex_;
  std::condition_variable call_ended_;
  bool cancelled_ = false;               // guarded by mutex_
  std::optional<TimePoint> call_began_;  // guarded by mutex_; empty between calls
};

}  // namespace headgate::odbc
