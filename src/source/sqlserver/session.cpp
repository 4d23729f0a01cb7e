#include "source/sqlserver/session.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

// N'…' for a statement that is shown.
std::string literal(const std::string& text) {
  std::string quoted_text = "N'";
  for (const char c : text) {
    quoted_text += c == '\'' ? "''" : std::string(1, c);
  }
  return quoted_text + "'";
}

std::string enable_table(const TableName& table) {
  return fmt::format(
      "EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}, @role_name = NULL;",
      literal(table.schema), literal(table.table));
}

// Of a table's instances, the one that begins first: the newer one takes over only at its start.
bool begins_before(const CaptureInstance& a, const CaptureInstance& b) {
  return a.create_date != b.create_date ? a.create_date < b.create_date
                                        : a.change_table < b.change_table;
}

}  // namespace

Session::Session(Options options, Logger log)
    : options_(std::move(options)), filter_(options_.tables), log_(std::move(log)) {}

odbc::Connection& Session::connection() {
  if (!connection_ || connection_->lost()) {
    connection_.reset();
    odbc::ConnectOptions connect;
    connect.connection_string = options_.connection_string;
    connect.password = options_.password;
    connect.role = "source";
    connect.statement_timeout = options_.statement_timeout;
    connect.settings = odbc::sql_server_settings(options_.lock_timeout);
    connection_ = std::make_unique<odbc::Connection>(connect);
  }
  return *connection_;
}

Findings Session::check(const std::vector<SinkStand>& sinks) {
  Findings findings;
  odbc::Connection& server = connection();
  bool enabled = false;
  std::string database;
  {
    odbc::Statement rows(server, "look at the server");
    rows.execute(
        "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), DB_NAME(), "
        "CONVERT(int, is_cdc_enabled) FROM sys.databases WHERE database_id = DB_ID()");
    if (!rows.next()) {
      throw Error{ErrorKind::kOperator, "source: the database is not in sys.databases",
                  "name a database in source.dsn (Database=…)"};
    }
    findings.push_back(Finding::ok("source: SQL Server " + rows.text(0)));
    database = rows.text(1);
    enabled = rows.integer(2) != 0;
    rows.drain();
  }
  if (!enabled) {
    findings.push_back(
        Finding::error(fmt::format("source: change data capture is off in database {}", database),
                       fmt::format("USE {}; EXEC sys.sp_cdc_enable_db; then enable the tables",
                                   quoted(database))));
    return findings;
  }
  findings.push_back(
      Finding::ok(fmt::format("source: change data capture is on in database {}", database)));

  const std::vector<CaptureInstance> all = read_instances(server);
  for (const TableName& name : filter_.named()) {
    const bool captured = std::any_of(all.begin(), all.end(), [&](const CaptureInstance& instance) {
      return instance.table == name;
    });
    if (!captured) {
      findings.push_back(Finding::error(
          fmt::format("source: table {} is not captured, or does not exist", name.to_string()),
          enable_table(name)));
    }
  }
  const std::vector<CaptureInstance> ours = instances();
  if (ours.empty()) {
    findings.push_back(Finding::error("source: no captured table matches `tables`",
                                      "enable the tables with sys.sp_cdc_enable_table"));
  }
  for (const CaptureInstance& instance : ours) {
    if (instance.key.empty()) {
      findings.push_back(Finding::warning(
          fmt::format("source: capture instance {} of table {} knows no key: its rows are matched "
                      "by all their columns",
                      instance.name, instance.table.to_string()),
          "give the table a primary key and make a second capture instance"));
    }
  }
  const auto captured = captured_to(server);
  if (!captured) {
    findings.push_back(Finding::error("source: the capture process has never run",
                                      "start SQL Server Agent and the capture job",
                                      ErrorKind::kTransient));
    return findings;
  }
  const History history = read_history();
  for (const SinkStand& stand : sinks) {
    if (stand.position.history != history) {
      findings.push_back(Finding::error(
          fmt::format("source: {} follows history {}, and this database's is {} (its family and "
                      "recovery fork): their LSNs have no common order",
                      stand.sink, stand.position.history.text, history.text),
          "the database was restored or is another one: give the pipeline another name and begin "
          "again with a new copy",
          ErrorKind::kPositionLost));
    } else if (*captured < stand.position.lsn) {
      findings.push_back(Finding::error(
          fmt::format("source: {} stands at {}, and the database's changes end at {}", stand.sink,
                      stand.position.to_string(), captured->to_string()),
          "the database went back, by a restore or a failover: begin again with a new copy",
          ErrorKind::kPositionLost));
    }
  }
  return findings;
}

History Session::read_history() {
  odbc::Statement rows(connection(), "identify the database");
  rows.execute(
      "SELECT CONVERT(nvarchar(36), family_guid), CONVERT(nvarchar(36), recovery_fork_guid) "
      "FROM sys.database_recovery_status WHERE database_id = DB_ID()");
  if (!rows.next() || rows.is_null(0) || rows.is_null(1)) {
    throw Error{ErrorKind::kOperator, "source: the database does not say which one it is",
                "GRANT VIEW ANY DATABASE to the login: sys.database_recovery_status is needed"};
  }
  History history{fmt::format("sqlserver:{}:{}", rows.text(0), rows.text(1))};
  rows.drain();
  return history;
}

History Session::prepare(const std::vector<SinkStand>& sinks) {
  const Findings findings = check(sinks);
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kWarning) {
      log_->warn("{} remedy=\"{}\"", finding.what, finding.remedy);
    }
  }
  require(findings);
  history_ = read_history();
  followed_.clear();
  for (const SinkStand& stand : sinks) {
    for (const TableRecord& table : stand.tables) {
      if (const auto note = parse_note(table.source.source_note)) {
        followed_.try_emplace(table.source.source_id, *note);
      }
    }
  }
  return history_;
}

std::map<std::int64_t, LSN> Session::first_lsns(const std::vector<CaptureInstance>& instances) {
  std::map<std::int64_t, LSN> firsts;
  for (const CaptureInstance& instance : instances) {
    const auto id = static_cast<std::uint32_t>(instance.source_table);
    auto followed = followed_.find(id);
    if (followed == followed_.end()) {
      if (!instance.start_lsn) {
        continue;  // too young to have lost anything
      }
      followed =
          followed_.emplace(id, InstanceNote{instance.change_table, *instance.start_lsn}).first;
    }
    if (followed->second.change_table != instance.change_table) {
      throw Error{ErrorKind::kPositionLost,
                  fmt::format("source: capture instance {} of table {} is not the one that was "
                              "followed: what was captured between the two is not known",
                              instance.name, instance.table.to_string()),
                  "begin again with a new copy of the table"};
    }
    firsts.emplace(instance.change_table, followed->second.start_lsn);
  }
  return firsts;
}

std::vector<CaptureInstance> Session::instances() {
  std::vector<CaptureInstance> ours;
  for (CaptureInstance& instance : read_instances(connection())) {
    if (!filter_.matches(instance.table)) {
      continue;
    }
    const auto other =
        std::find_if(ours.begin(), ours.end(), [&](const CaptureInstance& candidate) {
          return candidate.source_table == instance.source_table;
        });
    if (other == ours.end()) {
      ours.push_back(std::move(instance));
    } else if (begins_before(instance, *other)) {
      *other = std::move(instance);
    }
  }
  return ours;
}

void Session::verify(const LSN& position, const std::vector<CaptureInstance>& instances,
                     const std::map<std::int64_t, LSN>& first_lsns) {
  if (const History now = read_history(); now != history_) {
    throw Error{ErrorKind::kReread,
                fmt::format("source: the database is another one, or was restored: its history is "
                            "{}, ours was {}",
                            now.text, history_.text)};
  }
  const std::vector<InstanceFloor> floors = read_floors(connection());
  for (const CaptureInstance& instance : instances) {
    const auto floor =
        std::find_if(floors.begin(), floors.end(), [&](const InstanceFloor& candidate) {
          return candidate.change_table == instance.change_table;
        });
    if (floor == floors.end()) {
      throw Error{ErrorKind::kPositionLost,
                  fmt::format("source: capture instance {} of table {} was dropped, and with it "
                              "changes that were not read yet",
                              instance.name, instance.table.to_string()),
                  "make it again, and begin again with a new copy of the table"};
    }
    if (!floor->start_lsn || *floor->start_lsn <= increment(position)) {
      continue;
    }
    const auto first = first_lsns.find(instance.change_table);
    if (first != first_lsns.end() && first->second == *floor->start_lsn) {
      continue;  // it began after our position, and nothing of it was cleaned up since
    }
    throw Error{ErrorKind::kPositionLost,
                fmt::format("source: clean-up has passed our position: changes of table {} "
                            "between {} and {} are gone",
                            instance.table.to_string(), position.to_string(),
                            floor->start_lsn->to_string()),
                "begin again with a new copy, and keep changes longer: EXEC sys.sp_cdc_change_job "
                "@job_type = N'cleanup', @retention = <minutes>;"};
  }
}

}  // namespace headgate::source::sqlserver
