#include "source/sqlserver/sqlserver_source.hpp"

#include "db/odbc/statement.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {

// Of what is captured: the log itself is ahead of that by the capture process's lag.
LSN SqlServerSource::current_end() {
  return captured_to(session_.connection()).value_or(LSN{});
}

SourceHealth SqlServerSource::health() {
  SourceHealth health;
  odbc::Statement rows(session_.connection(), "ask for the version");
  rows.execute("SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion'))");
  if (rows.next()) {
    health.server_version = rows.text(0);
    rows.drain();
  }
  return health;
}

}  // namespace headgate::source::sqlserver
