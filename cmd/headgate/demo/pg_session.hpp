// One libpq session with what the demo and the tests need of it: statements, rows as text, and
// errors that carry their SQLSTATE.
//
// Not the daemon's wrapper (db/pq): the workload stands for an application, so it must notice
// nothing of how Headgate talks to a server, and must see a lost session as an application would.

#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace headgate::demo {

// A row as the server prints it; nothing stands for NULL.
using TextRow = std::vector<std::optional<std::string>>;
using TextRows = std::vector<TextRow>;

class PgError : public std::runtime_error {
 public:
  PgError(const std::string& message, std::string sqlstate, bool session_lost)
      : std::runtime_error(message), sqlstate_(std::move(sqlstate)), session_lost_(session_lost) {}

  // Empty when the server said nothing.
  const std::string& sqlstate() const noexcept { return sqlstate_; }
  // True: only a new session can go on. Whether a COMMIT that was under way succeeded is not known.
  bool session_lost() const noexcept { return session_lost_; }
  // Deadlock or serialization failure: the transaction may succeed when tried again.
  bool retryable() const noexcept { return sqlstate_ == "40001" || sqlstate_ == "40P01"; }

 private:
  std::string sqlstate_;
  bool session_lost_;
};

// Not thread-safe; ends its session, and with it an open transaction, when destroyed.
class PgSession {
 public:
  // Connects. Values are printed in the form that `compare` relies on: dates as ISO in UTC, bytea
  // as hex, floats with all digits.
  //
  // Throws PgError with session_lost() when the server cannot be reached.
  explicit PgSession(const std::string& conninfo);

  // Runs one statement with text parameters, and returns its rows. Throws PgError.
  TextRows query(const std::string& sql, const TextRow& parameters = {});

  // Runs any number of statements, as one transaction if they do not say otherwise. Throws PgError.
  void execute(const std::string& script);

  // The only value of the only row, NULL as an empty string.
  std::string value(const std::string& sql, const TextRow& parameters = {});

  bool in_transaction() const;

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  using Result = std::unique_ptr<PGresult, Clear>;

  const Result& checked(const Result& result) const;

  std::unique_ptr<PGconn, Finish> connection_;
};

// `text` as an SQL identifier, in double quotes.
std::string quote_identifier(const std::string& text);

// `text` as an SQL string literal (standard_conforming_strings).
std::string quote_literal(const std::string& text);

}  // namespace headgate::demo
