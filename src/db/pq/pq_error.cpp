#include "db/pq/pq_error.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace headgate::pq {
namespace {

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view{} : std::string_view{text};
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
      return std::pair{std::string(rest.substr(0, 5)), one_line(text.substr(0, text.find('\n')))};
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

std::string one_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
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

Error error_of_refusal(PGconn* connection, const std::string& role) {
  const std::string_view message = PQerrorMessage(connection);
  if (const auto refusal = split_refusal(message)) {
    const auto& [sqlstate, text] = *refusal;
    return Error{kind_of_sqlstate(sqlstate), fmt::format("{}: {}", role, text),
                 hint_for_refusal(sqlstate)};
  }
  if (PQconnectionNeedsPassword(connection) != 0) {
    return Error{ErrorKind::kOperator, fmt::format("{}: the server wants a password", role),
                 "name a file that holds it: password_file"};
  }
  return Error{ErrorKind::kTransient, fmt::format("{}: {}", role, one_line(message)),
               "is the server running there, and does it listen on this address?"};
}

Error error_of_result(PGconn* connection, const PGresult* result, const std::string& role,
                      std::string_view doing) {
  const std::string_view sqlstate = field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) {
    return Error{ErrorKind::kTransient, fmt::format("{}: cannot {}: connection lost: {}", role,
                                                    doing, one_line(PQerrorMessage(connection)))};
  }
  const ErrorKind kind = kind_of_sqlstate(sqlstate);
  if (quotes_values(sqlstate)) {
    return Error{kind, fmt::format("{}: cannot {}: {} (SQLSTATE {})", role, doing,
                                   value_refusal(result, sqlstate), sqlstate)};
  }
  // DETAIL is left out: it quotes rows. HINT is the server's advice and quotes none.
  return Error{kind,
               fmt::format("{}: cannot {}: {} (SQLSTATE {})", role, doing,
                           one_line(field(result, PG_DIAG_MESSAGE_PRIMARY)), sqlstate),
               one_line(field(result, PG_DIAG_MESSAGE_HINT))};
}

}  // namespace headgate::pq
