#include "sink/sqlite/position_table.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::sink::sqlite {
namespace {

constexpr const char* kWhat = "use headgate_positions";

// No position is NULL, never ''.
void bind_optional(db::sqlite::Statement& statement, int parameter, const std::string& text) {
  if (text.empty()) {
    statement.bind_null(parameter);
  } else {
    statement.bind_text_copy(parameter, text);
  }
}

LSN parse_stored(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  try {
    return LSN::parse(text);
  } catch (const Error& error) {
    throw error.with_context("headgate_positions.position");
  }
}

}  // namespace

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

void PositionTable::create(db::sqlite::Connection& connection) {
  connection.execute(R"(
    CREATE TABLE IF NOT EXISTS headgate_positions (
      pipeline    TEXT NOT NULL,
      sink        TEXT NOT NULL,
      position    TEXT,              -- LSN as 0x-hex; NULL until the first copy is finished
      history     TEXT,              -- the log that the LSN belongs to
      epoch       INTEGER NOT NULL,  -- raised by every process that takes over
      dlq_seq     INTEGER NOT NULL DEFAULT 0,
      commit_time TEXT,              -- of the last transaction at the source, RFC 3339, UTC
      updated_at  TEXT NOT NULL,
      PRIMARY KEY (pipeline, sink)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS headgate_applied (
      pipeline TEXT NOT NULL,
      sink     TEXT NOT NULL,
      entry_id TEXT NOT NULL,
      PRIMARY KEY (pipeline, sink, entry_id)
    ) STRICT;)");
}

PositionTable::PositionTable(db::sqlite::Connection& connection, std::string pipeline,
                             std::string sink)
    : connection_(connection),
      pipeline_(std::move(pipeline)),
      sink_(std::move(sink)),
      read_(connection,
            "SELECT position, history, epoch, updated_at FROM main.headgate_positions "
            "WHERE pipeline = ?1 AND sink = ?2",
            kWhat),
      raise_(connection,
             "INSERT INTO main.headgate_positions(pipeline, sink, epoch, updated_at) "
             "VALUES (?1, ?2, 1, ?4) "
             "ON CONFLICT (pipeline, sink) DO UPDATE SET epoch = epoch + 1, updated_at = ?4",
             kWhat),
      move_(connection,
            "UPDATE main.headgate_positions SET position = ?5, history = ?6, "
            "commit_time = COALESCE(?7, commit_time), updated_at = ?4 "
            "WHERE pipeline = ?1 AND sink = ?2 AND epoch = ?3",
            kWhat),
      touch_(connection,
             "UPDATE main.headgate_positions SET updated_at = ?4 "
             "WHERE pipeline = ?1 AND sink = ?2 AND epoch = ?3",
             kWhat) {}

std::optional<PositionRow> PositionTable::read() {
  read_.bind_text(1, pipeline_);
  read_.bind_text(2, sink_);
  db::sqlite::Rows rows = read_.rows();
  if (!rows.next()) {
    return std::nullopt;
  }
  PositionRow row;
  row.position.lsn = parse_stored(rows.text(0));
  row.position.history.text = rows.text(1);
  row.epoch = static_cast<std::uint64_t>(rows.integer(2));
  row.updated_at = rows.text(3);
  return row;
}

void PositionTable::bind_row(db::sqlite::Statement& statement, std::uint64_t epoch) {
  statement.bind_text(1, pipeline_);
  statement.bind_text(2, sink_);
  statement.bind_integer(3, static_cast<std::int64_t>(epoch));
}

void PositionTable::raise_epoch(WallTime now) {
  raise_.bind_text(1, pipeline_);
  raise_.bind_text(2, sink_);
  raise_.bind_text_copy(4, to_rfc3339(now));
  raise_.run();
}

bool PositionTable::move(const CommitMark& mark, std::uint64_t epoch, WallTime now) {
  bind_row(move_, epoch);
  move_.bind_text_copy(4, to_rfc3339(now));
  bind_optional(move_, 5, mark.position.lsn.to_hex());
  bind_optional(move_, 6, mark.position.history.text);
  // A position without a transaction of its own has no commit time; the last one stays.
  bind_optional(move_, 7,
                mark.commit_time == WallTime{} ? std::string{} : to_rfc3339(mark.commit_time));
  move_.run();
  return connection_.changes() == 1;
}

bool PositionTable::touch(const std::string& before, std::uint64_t epoch, WallTime now) {
  std::string updated_at = to_rfc3339(now);
  if (updated_at == before) {
    updated_at = to_rfc3339(now + std::chrono::microseconds(1));
  }
  bind_row(touch_, epoch);
  touch_.bind_text_copy(4, updated_at);
  touch_.run();
  return connection_.changes() == 1;
}

}  // namespace headgate::sink::sqlite
