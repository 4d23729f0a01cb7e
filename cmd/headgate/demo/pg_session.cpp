#include "demo/pg_session.hpp"

#include <array>

#include <fmt/format.h>

namespace headgate::demo {

namespace {

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

std::string doubled(const std::string& text, char quote) {
  std::string quoted(1, quote);
  for (const char c : text) {
    quoted.append(c == quote ? 2 : 1, c);
  }
  quoted += quote;
  return quoted;
}

}  // namespace

PgSession::PgSession(const std::string& conninfo) {
  // The first entry is expanded, the others override it.
  const std::array<const char*, 6> keywords{
      "dbname",  "client_encoding",           "connect_timeout",
      "options", "fallback_application_name", nullptr};
  const std::array<const char*, 6> values{
      conninfo.c_str(),
      "UTF8",
      "10",
      "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c bytea_output=hex "
      "-c extra_float_digits=1",
      "headgate_demo",
      nullptr};
  connection_.reset(PQconnectdbParams(keywords.data(), values.data(), 1));
  if (PQstatus(connection_.get()) != CONNECTION_OK) {
    throw PgError(trimmed(PQerrorMessage(connection_.get())), {}, true);
  }
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

TextRows PgSession::query(const std::string& sql, const TextRow& parameters) {
  std::vector<const char*> values;
  for (const auto& parameter : parameters) {
    values.push_back(parameter ? parameter->c_str() : nullptr);
  }
  const Result result(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                                   nullptr, values.data(), nullptr, nullptr, 0));
  checked(result);
  TextRows rows(static_cast<std::size_t>(PQntuples(result.get())));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    TextRow& fields = rows[static_cast<std::size_t>(row)];
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      if (PQgetisnull(result.get(), row, column) != 0) {
        fields.emplace_back();
      } else {
        fields.emplace_back(
            std::string(PQgetvalue(result.get(), row, column),
                        static_cast<std::size_t>(PQgetlength(result.get(), row, column))));
      }
    }
  }
  return rows;
}

void PgSession::execute(const std::string& script) {
  checked(Result(PQexec(connection_.get(), script.c_str())));
}

std::string PgSession::value(const std::string& sql, const TextRow& parameters) {
  const TextRows rows = query(sql, parameters);
  return rows.empty() || rows.front().empty() ? std::string() : rows.front().front().value_or("");
}

bool PgSession::in_transaction() const {
  return PQtransactionStatus(connection_.get()) != PQTRANS_IDLE;
}

const PgSession::Result& PgSession::checked(const Result& result) const {
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      return result;
    default:
      break;
  }
  const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  const bool lost = PQstatus(connection_.get()) != CONNECTION_OK;
  throw PgError(trimmed(PQerrorMessage(connection_.get())), sqlstate == nullptr ? "" : sqlstate,
                lost);
}

std::string quote_identifier(const std::string& text) {
  return doubled(text, '"');
}

std::string quote_literal(const std::string& text) {
  return doubled(text, '\'');
}

}  // namespace headgate::demo
