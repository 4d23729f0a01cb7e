#include "source/postgres/postgres_source.hpp"

#include <utility>

namespace headgate::source::postgres {

PostgresSource::PostgresSource(Options options, const Clock& clock, Logger log)
    : session_(std::move(options), log),
      cdc_(session_, clock, log),
      bulk_copy_(session_, clock, log),
      chunk_reader_(session_, clock, log),
      chunks_(chunk_reader_, cdc_, clock, session_.options().chunks, log),
      copies_later_(bulk_copy_, chunks_) {}

std::vector<TableSchema> PostgresSource::captured_tables() {
  return session_.options().copy_new_tables ? session_.captured_tables()
                                            : std::vector<TableSchema>{};
}

Capturer& PostgresSource::snapshot() {
  if (session_.options().copy_in_chunks) {
    return chunks_;
  }
  return copies_later_;
}

std::string PostgresSource::place() {
  const auto history = parse_history(session_.history());
  return history ? pq::database_place(history->system_id, history->database) : std::string{};
}

LSN PostgresSource::current_end() {
  return LSN::parse(session_.catalog()
                        .exec("SELECT pg_current_wal_insert_lsn()", "ask for the log's end")
                        .value(0, 0));
}

// Asked while the stream is read: a server that hangs may not hold that up.
SourceHealth PostgresSource::health() {
  pq::Connection& connection = session_.catalog();
  connection.limit_answers(std::chrono::seconds(10));
  try {
    SourceHealth health = ask_health(connection);
    connection.limit_answers({});
    return health;
  } catch (...) {
    connection.limit_answers({});
    throw;
  }
}

SourceHealth PostgresSource::ask_health(pq::Connection& connection) const {
  SourceHealth health;
  health.server_version = connection.exec("SHOW server_version", "ask for the version").text(0, 0);
  health.slot = session_.options().slot;
  if (const auto slot = find_slot(connection, session_.options().slot)) {
    health.retained_bytes = slot->retained_bytes;
    health.wal_status = slot->wal_status;
    health.safe_wal_bytes = slot->safe_wal_bytes;
  }
  return health;
}

}  // namespace headgate::source::postgres
