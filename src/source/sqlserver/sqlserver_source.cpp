#include "source/sqlserver/sqlserver_source.hpp"

#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {

// Of what is captured: the log itself is ahead of that by the capture process's lag.
LSN SqlServerSource::current_end() {
  return captured_to(session_.connection()).value_or(LSN{});
}

// Asked where those of them that a sink has not are copied.
std::vector<TableSchema> SqlServerSource::captured_tables() {
  std::vector<TableSchema> tables;
  const auto captured = captured_to(session_.connection());
  if (!session_.options().copy_new_tables || !captured) {
    return tables;
  }
  session_.admit_new_tables();
  for (const Reading& reading : session_.follow(*captured)) {
    tables.push_back(*reading.schema);
  }
  return tables;
}

Capturer& SqlServerSource::snapshot() {
  if (session_.options().copy_rows) {
    return chunks_;
  }
  return copies_later_;
}

// Never connects: what is being read stands on the connection that is there, and a lost one is the
// stream's to notice.
SourceHealth SqlServerSource::health() {
  if (!session_.connected()) {
    throw Error{ErrorKind::kTransient, "source: the connection is lost"};
  }
  odbc::Connection& server = session_.connection();
  SourceHealth health;
  health.server_version = read_server(server).version;
  health.warnings = watch_.look(server, cdc_.durable());
  return health;
}

}  // namespace headgate::source::sqlserver
