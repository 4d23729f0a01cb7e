#include "db/pq/connection.hpp"

#include <poll.h>
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "db/pq/connect_parameters.hpp"
#include "db/pq/pq_error.hpp"

namespace headgate::pq {

std::vector<std::pair<std::string, std::string>> text_format_settings() {
  return {{"datestyle", "ISO"},    {"intervalstyle", "postgres"},
          {"timezone", "UTC"},     {"extra_float_digits", "3"},
          {"bytea_output", "hex"}, {"lc_monetary", "C"},
          {"row_security", "off"}, {"standard_conforming_strings", "on"}};
}

std::int64_t Result::integer(int row, int column) const {
  const std::string_view digits = value(row, column);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failure != std::errc{} || end != digits.data() + digits.size()) {
    throw Error{ErrorKind::kOperator,
                fmt::format("the server answered \"{}\" for a number", digits)};
  }
  return number;
}

std::int64_t Result::affected() const {
  const std::string_view digits = PQcmdTuples(result_.get());
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

Connection::Connection(const ConnectOptions& options) : role_(options.role) {
  connect(options);
}

void Connection::connect(const ConnectOptions& options) {
  ConnectParameters parameters(options.conninfo, role_);
  if (!options.password.empty()) {
    parameters.set("password", options.password);
  }
  parameters.set("client_encoding", "UTF8");
  parameters.set_default("fallback_application_name", options.application_name);
  // A peer that vanished without a word must not hold us for hours...
  parameters.set_default("keepalives_idle", "10");
  parameters.set_default("keepalives_interval", "5");
  parameters.set_default("keepalives_count", "3");
  parameters.set_default("tcp_user_timeout", "30000");
  // ... nor our vanished session the server's locks and snapshots.
  parameters.append_option("tcp_keepalives_idle", "10");
  parameters.append_option("tcp_keepalives_interval", "5");
  parameters.append_option("tcp_keepalives_count", "3");
  // A role's or database's default would end our first statement already, on a busy server.
  parameters.append_option("statement_timeout", "0");
  if (options.replication) {
    parameters.set("replication", "database");
  }
  for (const auto& [name, value] : options.settings) {
    parameters.append_option(name, value);
  }

  connection_.reset(parameters.start());
  if (!connection_) {
    throw std::bad_alloc();
  }
  // Verbose before the first round trip: only so does libpq tell the SQLSTATE of a refusal.
  PQsetErrorVerbosity(get(), PQERRORS_VERBOSE);
  PQsetNoticeProcessor(
      get(), [](void*, const char*) {}, nullptr);

  // Beyond a minute, whoever watches us would take us for hanging.
  const Duration timeout = std::min<Duration>(
      parameters.connect_timeout().value_or(options.timeout), std::chrono::minutes(1));
  const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (PQstatus(get()) != CONNECTION_BAD && wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) {
      break;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd waiting{socket(), static_cast<short>(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                   0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) == 0) {
      throw Error{ErrorKind::kTransient,
                  fmt::format("{}: no answer from the server within {} s", role_,
                              std::chrono::duration_cast<std::chrono::seconds>(timeout).count()),
                  "check host and port of the dsn, and firewalls between here and there"};
    }
    wanted = PQconnectPoll(get());
  }
  if (lost()) {
    throw error_of_refusal(get(), role_);
  }
  // From here on SQLSTATEs come as fields, and DETAIL, which quotes rows, is better not sent along.
  PQsetErrorVerbosity(get(), PQERRORS_TERSE);
  lift_timeouts(options);
}

// What a role's or database's defaults might limit or slow down, and must not: our sessions are
// idle for long, and a copy takes as long as it takes. And, where it is wanted, the server's side
// of tcp_user_timeout: while an answer of its own is not acknowledged, keep-alives rest, and only
// this ends a session whose peer is gone. (It would also end one that is slow to read what it asked
// for.) Each setting only where the server knows it.
void Connection::lift_timeouts(const ConnectOptions& options) {
  if (options.replication) {
    return;  // a walsender has wal_sender_timeout
  }
  std::string settings;
  const auto add = [&](int since, std::string_view name, std::string_view value) {
    if (server_version() >= since) {
      settings += fmt::format("{}('{}', '{}')", settings.empty() ? "" : ", ", name, value);
    }
  };
  if (options.ends_with_peer) {
    add(120000, "tcp_user_timeout", "30000");
  }
  // None of our statements takes long enough for compiling it to pay: what the planner estimates
  // for a look at the catalog can be far off.
  add(110000, "jit", "off");
  add(140000, "idle_session_timeout", "0");
  add(170000, "transaction_timeout", "0");
  if (!settings.empty()) {
    exec("SELECT pg_catalog.set_config(name, value, false) FROM (VALUES " + settings +
             ") AS settings (name, value)",
         "set up the session");
  }
}

// The last result of what was sent, as PQexec gives it.
Result Connection::answer(int sent, std::string_view doing) {
  if (sent != 1) {
    throw error(nullptr, doing);
  }
  const TimePoint deadline = std::chrono::steady_clock::now() + *answer_limit_;
  while (PQisBusy(get()) != 0) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{socket(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      connection_.reset();
      throw Error{ErrorKind::kTransient,
                  fmt::format("{}: cannot {}: the server does not answer", role_, doing)};
    }
    if (PQconsumeInput(get()) != 1) {
      throw error(nullptr, doing);
    }
  }
  Result last(PQgetResult(get()));
  while (PGresult* next = PQgetResult(get())) {
    last = Result(next);
  }
  return last;
}

bool Connection::ended_by_server() {
  // An idle session hears nothing but its end: a last message, then the end of the stream.
  pollfd readable{socket(), POLLIN, 0};
  while (!lost() && ::poll(&readable, 1, 0) > 0) {
    if (PQconsumeInput(get()) != 1) {
      return true;
    }
    if (PQisBusy(get()) != 0) {
      break;
    }
  }
  return lost();
}

Error Connection::error(const PGresult* result, std::string_view doing) const {
  return error_of_result(get(), result, role_, doing);
}

void Connection::expect(const Result& result, std::initializer_list<ExecStatusType> expected,
                        std::string_view doing) const {
  if (std::find(expected.begin(), expected.end(), result.status()) == expected.end()) {
    throw error(result.get(), doing);
  }
}

Result Connection::exec(const std::string& sql, std::string_view doing) {
  Result result = answer_limit_ ? answer(PQsendQuery(get(), sql.c_str()), doing)
                                : Result(PQexec(get(), sql.c_str()));
  expect(result, {PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY}, doing);
  return result;
}

Result Connection::exec(const std::string& sql, const std::vector<Parameter>& parameters,
                        std::string_view doing) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const Parameter& parameter : parameters) {
    values.push_back(parameter ? parameter->c_str() : nullptr);
  }
  const auto count = static_cast<int>(values.size());
  Result result = answer_limit_ ? answer(PQsendQueryParams(get(), sql.c_str(), count, nullptr,
                                                           values.data(), nullptr, nullptr, 0),
                                         doing)
                                : Result(PQexecParams(get(), sql.c_str(), count, nullptr,
                                                      values.data(), nullptr, nullptr, 0));
  expect(result, {PGRES_COMMAND_OK, PGRES_TUPLES_OK}, doing);
  return result;
}

void Connection::prepare(const std::string& name, const std::string& sql,
                         const std::vector<Oid>& types, std::string_view doing) {
  const Result result(
      PQprepare(get(), name.c_str(), sql.c_str(), static_cast<int>(types.size()), types.data()));
  expect(result, {PGRES_COMMAND_OK}, doing);
}

Result Connection::exec_prepared(const std::string& name, const BinaryParameters& parameters,
                                 std::string_view doing) {
  const std::vector<int> formats(parameters.values.size(), 1);
  Result result(PQexecPrepared(get(), name.c_str(), static_cast<int>(parameters.values.size()),
                               parameters.values.data(), parameters.lengths.data(), formats.data(),
                               0));
  expect(result, {PGRES_COMMAND_OK, PGRES_TUPLES_OK}, doing);
  return result;
}

void Connection::copy_begin(const std::string& sql, std::string_view doing) {
  const Result result(PQexec(get(), sql.c_str()));
  expect(result, {PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH}, doing);
}

void Connection::copy_put(std::string_view data, std::string_view doing) {
  if (PQputCopyData(get(), data.data(), static_cast<int>(data.size())) != 1) {
    throw error(nullptr, doing);
  }
}

std::int64_t Connection::copy_end(std::string_view doing) {
  if (PQputCopyEnd(get(), nullptr) != 1) {
    throw error(nullptr, doing);
  }
  const Result result(PQgetResult(get()));
  while (const Result rest{PQgetResult(get())}) {
  }
  expect(result, {PGRES_COMMAND_OK}, doing);  // last: who goes on after an error can, at once
  return result.affected();
}

Connection::CopyRow Connection::copy_get(TimePoint deadline, std::string_view doing) {
  while (true) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(get(), &buffer, 1);
    copy_buffer_.reset(buffer);
    if (size > 0) {
      return {std::string_view{buffer, static_cast<std::size_t>(size)}, false};
    }
    if (size < 0) {
      break;
    }
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{socket(), POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(std::max<std::int64_t>(0, left.count()))) == 0) {
      return {};
    }
    if (PQconsumeInput(get()) != 1) {
      throw error(nullptr, doing);
    }
  }
  const Result result(PQgetResult(get()));
  expect(result, {PGRES_COMMAND_OK}, doing);
  while (const Result rest{PQgetResult(get())}) {
  }
  return {std::nullopt, true};
}

void Connection::cancel() noexcept {
  struct Free {
    void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
  };
  const std::unique_ptr<PGcancel, Free> request(PQgetCancel(get()));
  char reason[256];
  if (request && PQcancel(request.get(), reason, sizeof(reason)) == 1) {
    while (PGresult* result = PQgetResult(get())) {
      PQclear(result);
    }
  }
}

std::string Connection::quoted_user() const {
  const char* user = PQuser(get());
  return quote_identifier(user == nullptr ? "" : user);
}

std::string Connection::quote_literal(std::string_view text) const {
  struct Free {
    void operator()(char* memory) const { PQfreemem(memory); }
  };
  const std::unique_ptr<char, Free> quoted(PQescapeLiteral(get(), text.data(), text.size()));
  if (!quoted) {
    throw Error{ErrorKind::kOperator,
                role_ + ": cannot quote a text: " + one_line(PQerrorMessage(get()))};
  }
  return quoted.get();
}

std::string database_identity(Connection& connection) {
  const Result allowed =
      connection.exec("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')",
                      "identify the database");
  if (!allowed.boolean(0, 0)) {
    return {};
  }
  const Result row = connection.exec(
      "SELECT system_identifier, (SELECT oid FROM pg_catalog.pg_database "
      "WHERE datname = current_database()) FROM pg_catalog.pg_control_system()",
      "identify the database");
  return database_place(row.value(0, 0), row.value(0, 1));
}

std::string database_place(std::string_view system_id, std::string_view database_oid) {
  return fmt::format("postgres:{}:{}", system_id, database_oid);
}

std::string quote_identifier(std::string_view name) {
  constexpr std::size_t kBytesMax = 63;  // NAMEDATALEN - 1
  if (name.size() > kBytesMax) {
    throw Error{ErrorKind::kOperator,
                fmt::format("PostgreSQL would cut a name of {} bytes to {}: {}", name.size(),
                            kBytesMax, name),
                "rename it at the source, or leave its table out of `tables`"};
  }
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') {
      quoted.push_back('"');
    }
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

}  // namespace headgate::pq
