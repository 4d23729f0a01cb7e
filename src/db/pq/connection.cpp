#include "db/pq/connection.hpp"

#include <poll.h>
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace headgate::pq {
namespace {

struct ConninfoDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// What the user wrote, key by key; throws for what libpq cannot parse.
std::vector<std::pair<std::string, std::string>> parse_conninfo(const ConnectOptions& options) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, ConninfoDeleter> parsed(
      PQconninfoParse(options.conninfo.c_str(), &message));
  if (!parsed) {
    // libpq's message can repeat part of the string, and with it a password: not shown.
    PQfreemem(message);
    throw Error{
        ErrorKind::kOperator,
        fmt::format("{}: the dsn is not a libpq connection string", options.role),
        "write \"host=… dbname=… user=…\" or postgresql://user@host/dbname; quote values that "
        "hold spaces with single quotes"};
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) {
      pairs.emplace_back(option->keyword, option->val);
    }
  }
  return pairs;
}

class Parameters {
 public:
  explicit Parameters(std::vector<std::pair<std::string, std::string>> pairs)
      : pairs_(std::move(pairs)) {}

  void set(const std::string& key, const std::string& value) {
    if (std::string* present = find(key)) {
      *present = value;
    } else {
      pairs_.emplace_back(key, value);
    }
  }

  void set_default(const std::string& key, const std::string& value) {
    if (find(key) == nullptr) {
      pairs_.emplace_back(key, value);
    }
  }

  void append_option(const std::string& name, const std::string& value) {
    std::string escaped;
    for (const char c : value) {
      if (c == ' ' || c == '\\') {
        escaped.push_back('\\');
      }
      escaped.push_back(c);
    }
    std::string* options = find("options");
    if (options == nullptr) {
      pairs_.emplace_back("options", "");
      options = &pairs_.back().second;
    }
    *options += fmt::format(" -c {}={}", name, escaped);
  }

  PGconn* start() const {
    std::vector<const char*> keys;
    std::vector<const char*> values;
    for (const auto& [key, value] : pairs_) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    return PQconnectStartParams(keys.data(), values.data(), 0);
  }

 private:
  std::string* find(const std::string& key) {
    const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                    [&](const auto& pair) { return pair.first == key; });
    return found == pairs_.end() ? nullptr : &found->second;
  }

  std::vector<std::pair<std::string, std::string>> pairs_;
};

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view{} : std::string_view{text};
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// Errors over data, and those that a trigger raises, quote values in their text, in any language
// and layout; none of it may reach a log.
bool quotes_values(std::string_view sqlstate) {
  return sqlstate.starts_with("22") || sqlstate.starts_with("44") || sqlstate.starts_with("P0");
}

// Our own words for these, with the names that the server tells in fields of their own.
std::string value_refusal(const PGresult* result, std::string_view sqlstate) {
  std::string text = "the server refuses a value";
  if (sqlstate == "22001") {
    text = "a value is too long for its column";
  } else if (sqlstate == "22003") {
    text = "a number is out of its column's range";
  } else if (sqlstate == "22P02" || sqlstate == "22007" || sqlstate == "22008") {
    text = "a value cannot be read as its column's type";
  } else if (sqlstate.starts_with("P0")) {
    text = "a trigger or function raises an error";
  }
  for (const auto& [code, name] :
       {std::pair{PG_DIAG_TABLE_NAME, "table"}, std::pair{PG_DIAG_COLUMN_NAME, "column"},
        std::pair{PG_DIAG_CONSTRAINT_NAME, "constraint"},
        std::pair{PG_DIAG_DATATYPE_NAME, "type"}}) {
    if (const std::string_view value = field(result, code); !value.empty()) {
      text += fmt::format(", {} {}", name, value);
    }
  }
  return text;
}

// Splits libpq's verbose `FATAL:  28P01: password authentication failed …` of a refused connection.
// The severity is in the server's language, the layout is fixed.
std::optional<std::pair<std::string, std::string>> split_refusal(std::string_view message) {
  for (std::size_t at = message.find(":  "); at != std::string_view::npos;
       at = message.find(":  ", at + 1)) {
    const std::string_view rest = message.substr(at + 3);
    const bool is_state = rest.size() > 7 && rest.substr(5, 2) == ": " &&
                          std::all_of(rest.begin(), rest.begin() + 5, [](char c) {
                            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                          });
    if (is_state) {
      const std::string_view text = rest.substr(7);
      return std::pair{std::string(rest.substr(0, 5)), trimmed(text.substr(0, text.find('\n')))};
    }
  }
  return std::nullopt;
}

std::string hint_for_refusal(std::string_view sqlstate) {
  if (sqlstate == "28P01") return "check the user's password and password_file";
  if (sqlstate == "28000") return "allow this user, database and address in pg_hba.conf";
  if (sqlstate == "3D000") return "create the database, or correct dbname in the dsn";
  if (sqlstate == "42501") return "grant the missing right to this user";
  if (sqlstate == "53300") return "raise max_connections (or max_wal_senders) on the server";
  if (sqlstate == "53400") return "raise max_replication_slots on the server, or drop unused slots";
  return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> text_format_settings() {
  return {{"datestyle", "ISO"},    {"intervalstyle", "postgres"},
          {"timezone", "UTC"},     {"extra_float_digits", "3"},
          {"bytea_output", "hex"}, {"lc_monetary", "C"},
          {"row_security", "off"}, {"standard_conforming_strings", "on"}};
}

ErrorKind kind_of_sqlstate(std::string_view sqlstate) {
  const std::string_view group = sqlstate.substr(0, std::min<std::size_t>(2, sqlstate.size()));
  // 08P01 is a protocol violation: a pooler that does not know a start-up parameter, say.
  if ((group == "08" && sqlstate != "08P01") || group == "40" || sqlstate == "55P03" ||
      sqlstate == "57014" || sqlstate == "55006" || sqlstate == "25P03") {
    return ErrorKind::kTransient;
  }
  if (sqlstate == "53100" || sqlstate == "53200" || group == "58") {
    return ErrorKind::kSystemic;
  }
  if (group == "57" || (group == "53" && sqlstate != "53400")) {
    return ErrorKind::kTransient;  // shutdown, start-up, crash recovery, too many connections
  }
  if (group == "22" || group == "23" || group == "54" || group == "44") {
    return ErrorKind::kRow;
  }
  return ErrorKind::kOperator;
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
  Parameters parameters(parse_conninfo(options));
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

  const TimePoint deadline = std::chrono::steady_clock::now() + options.timeout;
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
      throw Error{
          ErrorKind::kTransient,
          fmt::format("{}: no answer from the server within {} s", role_,
                      std::chrono::duration_cast<std::chrono::seconds>(options.timeout).count()),
          "check host and port of the dsn, and firewalls between here and there"};
    }
    wanted = PQconnectPoll(get());
  }
  if (lost()) {
    throw connect_error();
  }
  // From here on SQLSTATEs come as fields, and DETAIL, which quotes rows, is better not sent along.
  PQsetErrorVerbosity(get(), PQERRORS_TERSE);
  lift_timeouts(options);
}

// What a role's or database's defaults might limit, and must not: our sessions are idle for long,
// and a copy takes as long as it takes. Each setting only where the server knows it.
void Connection::lift_timeouts(const ConnectOptions& options) {
  if (options.replication) {
    return;  // a walsender has wal_sender_timeout
  }
  std::string names = "'statement_timeout'";
  if (server_version() >= 140000) {
    names += ", 'idle_session_timeout'";
  }
  if (server_version() >= 170000) {
    names += ", 'transaction_timeout'";
  }
  exec("SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.unnest(ARRAY[" + names +
           "]) AS name",
       "set up the session");
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

Error Connection::connect_error() const {
  const std::string_view message = PQerrorMessage(get());
  if (const auto refusal = split_refusal(message)) {
    const auto& [sqlstate, text] = *refusal;
    return Error{kind_of_sqlstate(sqlstate), fmt::format("{}: {}", role_, text),
                 hint_for_refusal(sqlstate)};
  }
  if (PQconnectionNeedsPassword(get()) != 0) {
    return Error{ErrorKind::kOperator, fmt::format("{}: the server wants a password", role_),
                 "name a file that holds it: password_file"};
  }
  return Error{ErrorKind::kTransient, fmt::format("{}: {}", role_, trimmed(message)),
               "is the server running there, and does it listen on this address?"};
}

Error Connection::error(const PGresult* result, std::string_view doing) const {
  const std::string_view sqlstate = field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) {
    return Error{ErrorKind::kTransient, fmt::format("{}: cannot {}: connection lost: {}", role_,
                                                    doing, trimmed(PQerrorMessage(get())))};
  }
  const ErrorKind kind = kind_of_sqlstate(sqlstate);
  if (quotes_values(sqlstate)) {
    return Error{kind, fmt::format("{}: cannot {}: {} (SQLSTATE {})", role_, doing,
                                   value_refusal(result, sqlstate), sqlstate)};
  }
  // DETAIL is left out: it quotes rows. HINT is the server's advice and quotes none.
  return Error{kind,
               fmt::format("{}: cannot {}: {} (SQLSTATE {})", role_, doing,
                           trimmed(field(result, PG_DIAG_MESSAGE_PRIMARY)), sqlstate),
               trimmed(field(result, PG_DIAG_MESSAGE_HINT))};
}

void Connection::expect(const Result& result, std::initializer_list<ExecStatusType> expected,
                        std::string_view doing) const {
  if (std::find(expected.begin(), expected.end(), result.status()) == expected.end()) {
    throw error(result.get(), doing);
  }
}

Result Connection::exec(const std::string& sql, std::string_view doing) {
  Result result(PQexec(get(), sql.c_str()));
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
  Result result(PQexecParams(get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
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
  expect(result, {PGRES_COMMAND_OK}, doing);
  while (const Result rest{PQgetResult(get())}) {
  }
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
                role_ + ": cannot quote a text: " + trimmed(PQerrorMessage(get()))};
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
  return connection
      .exec(
          "SELECT 'postgres:' || system_identifier || ':' || (SELECT oid FROM "
          "pg_catalog.pg_database WHERE datname = current_database()) "
          "FROM pg_catalog.pg_control_system()",
          "identify the database")
      .text(0, 0);
}

std::string quote_identifier(std::string_view name) {
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
