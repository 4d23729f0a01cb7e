#include "sink/postgres/position_table.hpp"

#include <chrono>
#include <string_view>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"

namespace headgate::sink::postgres {
namespace {

// What `1 / 0` raises.
constexpr std::string_view kDivisionByZero = "22012";

Position parse_position(const pq::Result& rows, int position, int history) {
  Position parsed;
  if (!rows.is_null(0, position)) {
    parsed.lsn = LSN::parse(rows.value(0, position));
    parsed.history = {rows.text(0, history)};
  }
  return parsed;
}

// Microseconds since 1970, which to_timestamp() would round through a float.
std::string microseconds(WallTime time) {
  return std::to_string(time.time_since_epoch().count());
}

}  // namespace

PositionTable::PositionTable(const Options& options)
    : options_(options), table_(pq::quote_identifier(options.own_schema) + ".headgate_positions") {}

void PositionTable::create(pq::Connection& connection) const {
  const pq::Result present =
      connection.exec("SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL",
                      {table_, pq::quote_identifier(options_.own_schema) + ".headgate_applied"},
                      "look for headgate_positions");
  if (present.boolean(0, 0)) {
    return;
  }
  try {
    // position: LSN as 0x-hex, NULL until the first copy is finished. A low fill factor keeps the
    // row's updates within its page (HOT).
    connection.exec(
        fmt::format(
            "CREATE TABLE IF NOT EXISTS {0} (pipeline text NOT NULL, sink text NOT NULL, "
            "position text, history text, epoch bigint NOT NULL, dlq_seq bigint NOT NULL DEFAULT "
            "0, "
            "commit_time timestamptz, updated_at timestamptz NOT NULL DEFAULT now(), "
            "PRIMARY KEY (pipeline, sink)) WITH (fillfactor = 10); "
            "CREATE TABLE IF NOT EXISTS {1}.headgate_applied (pipeline text NOT NULL, "
            "sink text NOT NULL, entry_id text NOT NULL, PRIMARY KEY (pipeline, sink, entry_id))",
            table_, pq::quote_identifier(options_.own_schema)),
        "create headgate_positions");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    throw Error{error.kind(), error.what(),
                fmt::format("GRANT CREATE ON SCHEMA {} TO {};",
                            pq::quote_identifier(options_.own_schema), connection.quoted_user())};
  }
}

std::optional<SinkPosition> PositionTable::read(pq::Connection& connection) const {
  const pq::Result table = connection.exec("SELECT to_regclass($1) IS NOT NULL", {table_},
                                           "look for headgate_positions");
  if (!table.boolean(0, 0)) {
    return std::nullopt;
  }
  const pq::Result rows = connection.exec(
      fmt::format("SELECT position, history, epoch FROM {} WHERE pipeline = $1 AND sink = $2",
                  table_),
      {options_.pipeline, options_.name}, "read the position");
  if (rows.rows() == 0) {
    return std::nullopt;
  }
  return SinkPosition{parse_position(rows, 0, 1), static_cast<std::uint64_t>(rows.integer(0, 2))};
}

SinkPosition PositionTable::take_over(pq::Connection& connection) {
  connection.exec("BEGIN; SET LOCAL synchronous_commit = on", "take the pipeline over");
  const pq::Result rows =
      connection.exec(fmt::format("INSERT INTO {0} AS p (pipeline, sink, epoch) VALUES ($1, $2, 1) "
                                  "ON CONFLICT (pipeline, sink) DO UPDATE SET epoch = p.epoch + 1, "
                                  "updated_at = now() RETURNING position, history, epoch",
                                  table_),
                      {options_.pipeline, options_.name}, "raise the epoch");
  known_ = {parse_position(rows, 0, 1), static_cast<std::uint64_t>(rows.integer(0, 2))};
  connection.exec("COMMIT", "take the pipeline over");
  prepare(connection);
  return known_;
}

// By SQL, since a prepared statement of the protocol cannot share a message with BEGIN or COMMIT.
void PositionTable::prepare(pq::Connection& connection) const {
  const std::string row =
      fmt::format("pipeline = {} AND sink = {}", connection.quote_literal(options_.pipeline),
                  connection.quote_literal(options_.name));
  const std::string same_epoch =
      broken(Break::kSkipEpochCheck) ? "" : fmt::format(" AND epoch = {}", known_.epoch);
  // The division makes an error of a row that is not there, so that COMMIT behind it is not run.
  connection.exec(
      fmt::format(
          "PREPARE headgate_lock AS "
          "SELECT position, history, epoch FROM {0} WHERE {1} FOR UPDATE; "
          "PREPARE headgate_move(text, text, int8) AS "
          "WITH moved AS (UPDATE {0} SET position = $1, history = $2, commit_time = CASE WHEN $3 "
          "IS NULL THEN commit_time ELSE 'epoch'::timestamptz + $3 * interval '1 microsecond' END, "
          "updated_at = clock_timestamp() WHERE {1}{2} RETURNING 1) "
          "SELECT 1 / count(*) FROM moved",
          table_, row, same_epoch),
      "prepare for positions");
}

void PositionTable::begin(pq::Connection& connection) const {
  const pq::Result rows = connection.exec("BEGIN; EXECUTE headgate_lock", "lock the position");
  if (rows.rows() == 0) {
    throw fenced("its row of headgate_positions is gone");
  }
  const Position found = parse_position(rows, 0, 1);
  const auto epoch = static_cast<std::uint64_t>(rows.integer(0, 2));
  if (broken(Break::kSkipEpochCheck)) {
    return;
  }
  if (epoch != known_.epoch || found != known_.position) {
    throw fenced(fmt::format("epoch {} and position {} became {} and {}", known_.epoch,
                             known_.position.to_string(), epoch, found.to_string()));
  }
}

void PositionTable::commit(pq::Connection& connection, const CommitMark& mark) {
  if (connection.ended_by_server()) {
    // Known before COMMIT is sent: there is no doubt.
    throw connection.error(nullptr, "write the position");
  }
  const bool has_time = mark.commit_time != WallTime{};
  const std::string statements = fmt::format("EXECUTE headgate_move({}, {}, {}); COMMIT",
                                             connection.quote_literal(mark.position.lsn.to_hex()),
                                             connection.quote_literal(mark.position.history.text),
                                             has_time ? microseconds(mark.commit_time) : "NULL");
  const pq::Result last(PQexec(connection.get(), statements.c_str()));
  if (last.status() == PGRES_COMMAND_OK) {
    HEADGATE_CHECK(std::string_view(PQcmdStatus(last.get())) == "COMMIT",
                   "COMMIT of a failed transaction rolls it back");
    known_.position = mark.position;
    return;
  }
  if (PQtransactionStatus(connection.get()) == PQTRANS_INERROR) {
    // The server has not come to COMMIT.
    const char* sqlstate = PQresultErrorField(last.get(), PG_DIAG_SQLSTATE);
    if (sqlstate != nullptr && std::string_view(sqlstate) == kDivisionByZero) {
      throw fenced("its row of headgate_positions changed under its lock");
    }
    throw connection.error(last.get(), "write the position");
  }
  const Error error = connection.error(last.get(), "commit");
  if (error.kind() == ErrorKind::kTransient) {
    // Also a server that says it is shutting down may have committed first.
    throw Error{ErrorKind::kInDoubt, error.what(), error.hint()};
  }
  throw error;
}

Error PositionTable::fenced(const std::string& why) const {
  return Error{
      ErrorKind::kFenced,
      fmt::format("another process has taken over pipeline {} here: {}", options_.pipeline, why),
      "stop one of the two processes; nothing was written"};
}

}  // namespace headgate::sink::postgres
