#include "source/sqlserver/session.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/change_table_reader.hpp"
#include "source/sqlserver/log_window.hpp"
#include "source/sqlserver/server_check.hpp"

namespace headgate::source::sqlserver {
namespace {

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// Runs of `instances` that are of one table.
std::vector<CaptureInstances> by_table(CaptureInstances instances) {
  std::vector<CaptureInstances> tables;
  for (CaptureInstance& instance : instances) {
    if (tables.empty() || tables.back().back().source_table != instance.source_table) {
      tables.emplace_back();
    }
    tables.back().push_back(std::move(instance));
  }
  return tables;
}

}  // namespace

odbc::ConnectOptions session_options(const Options& options) {
  odbc::ConnectOptions connect;
  connect.connection_string = options.connection_string;
  connect.password = options.password;
  connect.role = "source";
  connect.statement_timeout = options.statement_timeout;
  connect.settings = odbc::sql_server_settings(options.lock_timeout);
  return connect;
}

Session::Session(Options options, Logger log)
    : options_(std::move(options)), filter_(options_.tables), log_(std::move(log)) {}

odbc::Connection& Session::connection() {
  if (!connection_ || connection_->lost()) {
    connection_.reset();
    connection_ = std::make_unique<odbc::Connection>(session_options(options_));
  }
  return *connection_;
}

Findings Session::check(const std::vector<SinkStand>& sinks) {
  Findings findings;
  if (check_access(findings)) {
    append(findings, check_following(sinks));
    odbc::Connection& server = connection();
    const ServerFacts facts = read_server(server);
    append(findings, check_capture(server, facts, sinks, options_));
    append(findings, check_details(server, facts, instances(), options_));
  }
  return findings;
}

bool Session::check_access(Findings& findings) {
  odbc::Connection& server = connection();
  const ServerFacts facts = read_server(server);
  findings.push_back(check_version(facts));
  if (findings.back().level == Finding::Level::kError) {
    return false;
  }
  findings.push_back(check_capture_is_on(server, facts));
  if (findings.back().level == Finding::Level::kError) {
    return false;
  }
  time_ = ServerTime::find(server, facts, options_.time_zone);
  findings.push_back(check_time(server, time_, !options_.time_zone.empty()));
  Findings refused = check_reading(server, facts, filter_, options_.query_mode);
  const bool reads = refused.empty();
  append(findings, std::move(refused));
  return reads;
}

Findings Session::check_following(const std::vector<SinkStand>& sinks) {
  Findings findings;
  odbc::Connection& server = connection();
  const CaptureInstances all = read_instances(server);
  append(findings, check_tables(server, read_server(server), filter_, all));
  const CaptureInstances ours = instances();
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
  append(findings, check_columns(ours));
  const auto captured = captured_to(server);
  if (!captured) {
    findings.push_back(Finding::error("source: the capture process has never run",
                                      "start SQL Server Agent and the capture job",
                                      ErrorKind::kTransient));
    return findings;
  }
  const History history = read_history(connection());
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

History read_history(odbc::Connection& connection) {
  odbc::Statement rows(connection, "identify the database");
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
  Findings findings;
  if (check_access(findings)) {
    append(findings, check_following(sinks));
  }
  told_.clear();
  tell(findings);
  require(findings);
  history_ = read_history(connection());
  followed_.clear();
  admitted_.reset();
  asked_for_.clear();
  new_tables_.clear();
  for (const SinkStand& stand : sinks) {
    for (const TableRecord& table : stand.tables) {
      admitted_ = admitted_.value_or(std::set<std::uint32_t>{});
      admitted_->insert(table.source.source_id);
      const auto note = parse_note(table.source.source_note);
      if (!note) {
        continue;
      }
      FollowedTable& followed = followed_[table.source.source_id];
      followed.name = table.source.name;
      followed.since = followed.since ? LSN::min(*followed.since, note->since) : note->since;
      FollowedTable::Held held{note->change_table, note->create_date, {}, stand.position.lsn};
      for (const Column& column : table.source.columns) {
        held.columns.push_back(column.source_id);
      }
      followed.held.push_back(std::move(held));
    }
  }
  return history_;
}

void Session::tell(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kWarning && told_.insert(finding.what).second) {
      log_->warn("{} remedy=\"{}\"", finding.what, finding.remedy);
    }
  }
}

CaptureInstances Session::instances() {
  return ours_of(read_instances(connection()));
}

CaptureInstances Session::ours_of(CaptureInstances all) const {
  CaptureInstances ours;
  for (CaptureInstance& instance : all) {
    if (!filter_.matches(instance.table)) {
      continue;
    }
    if (instance.columns.empty()) {
      throw Error{ErrorKind::kOperator,
                  fmt::format("source: the columns of change table cdc.{}_CT cannot be seen",
                              instance.name),
                  "GRANT VIEW DEFINITION ON SCHEMA::cdc to the login's user"};
    }
    ours.push_back(std::move(instance));
  }
  return ours;
}

std::vector<Reading> Session::follow(const LSN& position) {
  CaptureInstances all = read_instances(connection());
  check_absent(all);
  CaptureInstances ours = ours_of(std::move(all));
  tell(check_columns(ours));
  std::vector<Reading> readings;
  std::set<std::uint32_t> ids;
  new_tables_.clear();
  for (const CaptureInstances& of_table : by_table(std::move(ours))) {
    if (admits(of_table.back())) {
      readings.push_back(choose(of_table, position));
      ids.insert(static_cast<std::uint32_t>(of_table.back().source_table));
    }
  }
  if (!admitted_) {
    admitted_ = std::move(ids);
  }
  return readings;
}

// A table whose changes alone reached the sinks would look complete to them, and never be copied.
bool Session::admits(const CaptureInstance& instance) {
  const auto id = static_cast<std::uint32_t>(instance.source_table);
  const bool follows_all = !options_.copy_new_tables && !options_.ignore_new_tables;
  if (follows_all || !admitted_ || admitted_->contains(id)) {
    return true;
  }
  if (asked_for_.contains(instance.table)) {
    admitted_->insert(id);
    return true;
  }
  if (options_.copy_new_tables) {
    new_tables_.push_back(instance.table);
    return false;
  }
  tell({Finding::warning(fmt::format("source: table {} is captured for the first time, and ignored",
                                     instance.table.to_string()),
                         fmt::format("headgate snapshot start {} copies and follows it (not with "
                                     "snapshot.mode: never); new_tables: snapshot does so with "
                                     "every such table",
                                     instance.table.to_string()))});
  return false;
}

// A table that was followed and is not captured any more, or not under a name that is ours.
void Session::check_absent(const CaptureInstances& all) const {
  for (const auto& [id, table] : followed_) {
    if (!filter_.matches(table.name)) {
      continue;  // taken out of the configuration
    }
    bool there = false;
    for (const CaptureInstance& instance : all) {
      if (static_cast<std::uint32_t>(instance.source_table) != id) {
        // Another table of this name is the sinks' affair: they see that it is not the same.
        there = there || instance.table == table.name;
      } else if (filter_.matches(instance.table)) {
        there = true;
      } else {
        throw Error{ErrorKind::kOperator,
                    fmt::format("source: table {} was renamed to {}, which `tables` does not name",
                                table.name.to_string(), instance.table.to_string()),
                    "name it in `tables` under its new name"};
      }
    }
    if (!there) {
      throw Error{
          ErrorKind::kPositionLost,
          fmt::format("source: table {} was dropped, or is not captured any more, and with its "
                      "capture instance changes went that were not read yet",
                      table.name.to_string()),
          fmt::format("dropped for good: add \"!{}\" to `tables`; otherwise enable it again, and "
                      "begin again with a new copy of the table",
                      table.name.to_string())};
    }
  }
}

Reading Session::choose(const CaptureInstances& of_table, const LSN& position) {
  const CaptureInstance& any = of_table.back();
  FollowedTable& followed = followed_[static_cast<std::uint32_t>(any.source_table)];
  followed.name = any.table;
  if (!followed.since) {
    for (const CaptureInstance& instance : of_table) {
      if (instance.start_lsn) {
        followed.since =
            followed.since ? LSN::min(*followed.since, *instance.start_lsn) : *instance.start_lsn;
      }
    }
  }
  for (FollowedTable::Held& held : followed.held) {
    for (const CaptureInstance& instance : of_table) {
      if (instance.change_table == held.change_table) {
        held.create_date = instance.create_date;
      }
    }
  }
  const auto choice = choose_instance(of_table, followed, position);
  if (!choice) {
    std::string begins;
    for (const CaptureInstance& instance : of_table) {
      begins += fmt::format("{}{} from {} on", begins.empty() ? "" : ", ", instance.name,
                            instance.start_lsn ? instance.start_lsn->to_string() : "(not yet)");
    }
    throw Error{ErrorKind::kPositionLost,
                fmt::format("source: changes of table {} behind {} are gone, by clean-up or with "
                            "the capture instance that held them: what is left has them {}",
                            any.table.to_string(), position.to_string(), begins),
                "begin again with a new copy, and keep changes longer: EXEC sys.sp_cdc_change_job "
                "@job_type = N'cleanup', @retention = <minutes>;"};
  }
  const CaptureInstance& chosen = of_table[choice->place];
  const auto nulls = choice->place == 0 ? std::vector<std::uint32_t>{}
                                        : null_before(of_table[choice->place - 1], chosen);
  FollowedTable::Held held{chosen.change_table, chosen.create_date, {}, position};
  for (const CapturedColumn& column : chosen.columns) {
    held.columns.push_back(column.column_id);
  }
  const bool known = std::any_of(
      followed.held.begin(), followed.held.end(), [&](const FollowedTable::Held& other) {
        return other.change_table == held.change_table && other.reached <= position;
      });
  if (!known) {
    followed.held.push_back(std::move(held));
  }
  return {chosen, schema_of(chosen, followed.since, nulls), followed.since, choice->to};
}

// The columns of `newer` of which every row that was there when it began held NULL: they were added
// as such, and the older instance has seen no row written since. What is not known is left out.
std::vector<std::uint32_t> Session::null_before(const CaptureInstance& older,
                                                const CaptureInstance& newer) {
  std::vector<const SourceColumn*> candidates;
  for (const SourceColumn& column : newer.source_columns) {
    if (older.newest_column < column.column_id && newer.column(column.column_id) != nullptr &&
        column.added_as_null) {
      candidates.push_back(&column);
    }
  }
  if (candidates.empty() || !newer.start_lsn || !older.start_lsn) {
    return {};
  }
  struct Ddl {
    LSN lsn;
    std::string text;
  };
  std::vector<Ddl> history;
  {
    odbc::Statement rows(connection(), "read cdc.ddl_history");
    rows.execute(fmt::format(
        "SELECT DISTINCT ddl_lsn, ddl_command FROM cdc.ddl_history WHERE source_object_id = {}",
        newer.source_table));
    while (rows.next()) {
      history.push_back({LSN::from_bytes(rows.bytes(0)), rows.text(1)});
    }
  }
  std::vector<std::uint32_t> nulls;
  for (const SourceColumn* column : candidates) {
    const Ddl* added = nullptr;
    std::size_t mentioned = 0;
    for (const Ddl& ddl : history) {
      mentioned += mentions(ddl.text, column->name) ? 1U : 0U;
      added = adds_null_column(ddl.text, column->name) ? &ddl : added;
    }
    if (mentioned == 1 && added != nullptr && *older.start_lsn <= added->lsn &&
        added->lsn < *newer.start_lsn &&
        !has_new_rows(connection(), older, options_.query_mode, added->lsn,
                      decrement(*newer.start_lsn))) {
      nulls.push_back(column->column_id);
    }
  }
  return nulls;
}

bool Session::holds(const LSN& position, const std::vector<Reading>& readings,
                    const InstanceFloors& before) {
  if (const History now = read_history(connection()); now != history_) {
    throw Error{ErrorKind::kReread,
                fmt::format("source: the database is another one, or was restored: its history is "
                            "{}, ours was {}",
                            now.text, history_.text)};
  }
  const InstanceFloors floors = read_floors(connection());
  const auto find = [](const InstanceFloors& among, std::int64_t change_table) {
    return std::find_if(among.begin(), among.end(), [&](const InstanceFloor& candidate) {
      return candidate.change_table == change_table;
    });
  };
  return std::all_of(readings.begin(), readings.end(), [&](const Reading& reading) {
    const auto then = find(before, reading.instance.change_table);
    const auto now = find(floors, reading.instance.change_table);
    if (then == before.end() || now == floors.end() || !now->is_unaltered(*then)) {
      return false;
    }
    const FollowedTable table{reading.instance.table, reading.since, {}};
    return !now->start_lsn || reaches_back(now->start_lsn, first_needed(table, position));
  });
}

Findings Session::check_columns(const CaptureInstances& all) const {
  Findings findings;
  for (const CaptureInstances& of_table : by_table(all)) {
    const CaptureInstance& newest = of_table.back();
    const std::string table = newest.table.to_string();
    if (const auto missing = uncaptured_columns(newest); !missing.empty()) {
      std::string remedy = enable_next_instance(newest, all) +
                           " -- headgate goes over to it by itself, without a restart";
      if (of_table.size() > 1) {
        remedy = fmt::format("once the log says that {} is handed over: {} {}", table,
                             disable_instance(of_table.front()), remedy);
      }
      findings.push_back(Finding::warning(
          fmt::format("source: table {} has columns that no capture instance has, so their values "
                      "do not reach the sinks: {}",
                      table, joined(missing)),
          remedy));
    }
    std::vector<std::string> gone;
    for (const CapturedColumn& column : newest.columns) {
      if (column.dropped) {
        gone.push_back(column.name);
      }
    }
    if (!gone.empty()) {
      findings.push_back(Finding::warning(
          fmt::format("source: columns of table {} were dropped, and the sinks keep them as they "
                      "were until a capture instance without them is there: {}",
                      table, joined(gone)),
          enable_next_instance(newest, all)));
    }
  }
  return findings;
}

}  // namespace headgate::source::sqlserver
