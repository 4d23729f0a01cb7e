// RAII over libpq: one connection, its results, and its errors as ours.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace headgate::pq {

struct ConnectOptions {
  // libpq's keywords or URI, as the user gave it.
  std::string conninfo;
  // Overrides the one in `conninfo`; empty: that one, or libpq's own ways.
  std::string password;
  // Stands for the connection in errors: "source", "sink report".
  std::string role;
  // Shown in pg_stat_activity, unless `conninfo` says otherwise.
  std::string application_name = "headgate";
  // Session settings (`-c name=value`), on top of what `conninfo` has in `options`.
  std::vector<std::pair<std::string, std::string>> settings;
  // A walsender for the database instead of an ordinary backend.
  bool replication = false;
  // The session holds locks that others wait for, and reads its answers at once: the server ends it
  // when nobody acknowledges them for 30 s.
  bool ends_with_peer = false;
  // To connect, where conninfo has no connect_timeout; at most a minute.
  Duration timeout = std::chrono::seconds(10);
};

// Settings that make the server print values the same way whatever role, database or server default
// says: ISO dates in UTC, shortest floats, hex bytea, plain money, no row-level security surprises.
std::vector<std::pair<std::string, std::string>> text_format_settings();

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};

// Rows of one statement. Text format unless asked otherwise.
class Result {
 public:
  explicit Result(PGresult* result) : result_(result) {}

  PGresult* get() const { return result_.get(); }
  explicit operator bool() const { return result_ != nullptr; }
  ExecStatusType status() const { return PQresultStatus(result_.get()); }
  int rows() const { return PQntuples(result_.get()); }
  int columns() const { return PQnfields(result_.get()); }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view value(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  std::string text(int row, int column) const { return std::string(value(row, column)); }
  std::int64_t integer(int row, int column) const;
  bool boolean(int row, int column) const { return value(row, column) == "t"; }
  // Rows that an INSERT, UPDATE or DELETE touched.
  std::int64_t affected() const;

 private:
  std::unique_ptr<PGresult, ResultDeleter> result_;
};

// A parameter of exec(): text, or NULL.
using Parameter = std::optional<std::string>;

// Parameters in the server's binary format, prepared by the caller.
struct BinaryParameters {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
};

// One session. Not thread-safe. Every call throws Error: kTransient when the connection is lost,
// else by SQLSTATE; messages name the role and never hold a statement's values or a password.
class Connection {
 public:
  // Throws Error{kTransient} when the server cannot be reached, Error{kOperator} when it refuses us
  // (password, database, role, pg_hba.conf).
  explicit Connection(const ConnectOptions& options);

  PGconn* get() const { return connection_.get(); }
  int socket() const { return PQsocket(connection_.get()); }
  int server_version() const { return PQserverVersion(connection_.get()); }
  bool lost() const { return PQstatus(connection_.get()) != CONNECTION_OK; }
  // lost(), after looking whether the server has ended the session meanwhile. Never waits.
  // REQUIRES: no statement is under way.
  bool ended_by_server();
  const std::string& role() const { return role_; }
  // The database user of the session, quoted for a statement that mends something.
  std::string quoted_user() const;

  // From now on an exec() that is not answered within `limit` closes the connection and throws
  // Error{kTransient}; nothing: it waits as long as it takes.
  void limit_answers(std::optional<Duration> limit) { answer_limit_ = limit; }

  // One statement, or several without parameters and rows. `doing` completes "cannot …" in errors.
  Result exec(const std::string& sql, std::string_view doing);
  Result exec(const std::string& sql, const std::vector<Parameter>& parameters,
              std::string_view doing);

  void prepare(const std::string& name, const std::string& sql, const std::vector<Oid>& types,
               std::string_view doing);
  Result exec_prepared(const std::string& name, const BinaryParameters& parameters,
                       std::string_view doing);

  // COPY … FROM STDIN in parts; copy_end() returns the rows copied.
  void copy_begin(const std::string& sql, std::string_view doing);
  void copy_put(std::string_view data, std::string_view doing);
  std::int64_t copy_end(std::string_view doing);

  // The next row of COPY … TO STDOUT: its bytes, nothing in `row` when none came by `deadline`, or
  // `end`. The memory is libpq's until the next call.
  struct CopyRow {
    std::optional<std::string_view> row;
    bool end = false;
  };
  CopyRow copy_get(TimePoint deadline, std::string_view doing);

  // Asks the server to give up the statement that was sent and whose result is awaited, and waits
  // for it to do so. Never throws.
  void cancel() noexcept;

  // A literal, quoted by libpq's rules for this connection.
  std::string quote_literal(std::string_view text) const;

  // The error that the connection or `result` stands for.
  Error error(const PGresult* result, std::string_view doing) const;

  // Throws unless `result` has one of `expected`.
  void expect(const Result& result, std::initializer_list<ExecStatusType> expected,
              std::string_view doing) const;

 private:
  struct ConnectionDeleter {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct BufferDeleter {
    void operator()(char* buffer) const { PQfreemem(buffer); }
  };

  void connect(const ConnectOptions& options);
  void lift_timeouts(const ConnectOptions& options);

  Result answer(int sent, std::string_view doing);

  std::string role_;
  std::optional<Duration> answer_limit_;
  std::unique_ptr<PGconn, ConnectionDeleter> connection_;
  std::unique_ptr<char, BufferDeleter> copy_buffer_;  // the row last returned by copy_get()
};

// Which database of which system `connection` is connected to: equal for two connections exactly
// when they lead to the same one. Empty where the user may not ask.
std::string database_identity(Connection& connection);
// The same where both are known already.
std::string database_place(std::string_view system_id, std::string_view database_oid);

// `name` in double quotes, for places where no connection is at hand. Correct for every server
// encoding that is a superset of ASCII, as client_encoding UTF8 is.
//
// Throws Error{kOperator} for a name that the server would cut off: another may begin like it.
std::string quote_identifier(std::string_view name);

}  // namespace headgate::pq
