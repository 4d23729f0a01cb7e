#include "source/postgres/server_check.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

// Services that keep the superuser to themselves and have their own ways to what he would do.
enum class Service { kNone, kAmazon, kGoogle, kAzure };

Service service_of(pq::Connection& connection) {
  const pq::Result roles = connection.exec(
      "SELECT rolname FROM pg_roles "
      "WHERE rolname IN ('rds_replication', 'cloudsqlsuperuser', 'azure_pg_admin')",
      "look for a service's roles");
  if (roles.rows() == 0) {
    return Service::kNone;
  }
  if (roles.value(0, 0) == "rds_replication") {
    return Service::kAmazon;
  }
  return roles.value(0, 0) == "azure_pg_admin" ? Service::kAzure : Service::kGoogle;
}

bool awaits_restart(pq::Connection& connection, const std::string& setting) {
  const pq::Result row = connection.exec("SELECT pending_restart FROM pg_settings WHERE name = $1",
                                         {setting}, "ask for settings that wait for a restart");
  return row.rows() > 0 && row.boolean(0, 0);
}

// A setting that takes effect at the server's start only.
Finding needs_setting(pq::Connection& connection, std::string what, const std::string& setting,
                      const std::string& value, const std::string& instead = {}) {
  if (awaits_restart(connection, setting)) {
    return Finding::error(std::move(what),
                          fmt::format("restart the server: {} is set, but not in force", setting));
  }
  const std::string alter = fmt::format("ALTER SYSTEM SET {} = {}", setting, value);
  Finding finding =
      Finding::error(std::move(what), fmt::format("{}{}; then restart the server",
                                                  instead.empty() ? "" : instead + ", or ", alter));
  if (service_of(connection) != Service::kNone) {
    finding.remedy = fmt::format(
        "{}set {} to {} in the service's configuration of the server, "
        "which restarts it",
        instead.empty() ? "" : instead + ", or ", setting, value);
    return finding;
  }
  return std::move(finding).mended_by("source", {alter, "SELECT pg_reload_conf()"});
}

}  // namespace

Finding standby_finding() {
  return Finding::error("source: the server is a standby, or is still recovering",
                        "name the primary in source.dsn, or all servers with "
                        "target_session_attrs=read-write; after a failover wait for the promotion",
                        ErrorKind::kTransient);
}

ServerFacts read_server(pq::Connection& connection) {
  const pq::Result row = connection.exec(
      "SELECT current_setting('server_version'), pg_is_in_recovery(), "
      "current_setting('wal_level'), current_setting('effective_wal_level', true) IS NOT NULL, "
      "getdatabaseencoding(), "
      "(SELECT oid FROM pg_database WHERE datname = current_database())",
      "look at the server");
  return {row.text(0, 0),    row.boolean(0, 1), row.text(0, 2),
          row.boolean(0, 3), row.text(0, 4),    row.text(0, 5)};
}

Finding check_wal_level(pq::Connection& connection, const ServerFacts& server) {
  const std::string& level = server.wal_level;
  const bool on_demand = server.decodes_on_demand;  // there `replica` is enough
  if (level == "logical" || (on_demand && level == "replica")) {
    return Finding::ok("source: wal_level is " + level);
  }
  const std::string what = fmt::format("source: wal_level is {}, and logical replication needs {}",
                                       level, on_demand ? "replica or logical" : "logical");
  switch (service_of(connection)) {
    case Service::kAmazon:
      return Finding::error(
          what, "set rds.logical_replication to 1 in the server's parameter group, and reboot it");
    case Service::kGoogle:
      return Finding::error(
          what, "set the flag cloudsql.logical_decoding to on, which restarts the server");
    case Service::kAzure:
    case Service::kNone:
      break;
  }
  return needs_setting(connection, what, "wal_level", "'logical'");
}

Finding replication_refused(pq::Connection& connection, const Error& error) {
  const pq::Result rights = connection.exec(
      "SELECT r.rolreplication OR r.rolsuper OR coalesce((SELECT pg_has_role(r.oid, s.oid, "
      "'MEMBER') FROM pg_roles s WHERE s.rolname = 'rds_replication'), false), r.rolname, "
      "current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication) "
      "FROM pg_roles r WHERE r.rolname = session_user",
      "ask for the user's rights");
  const std::string user = pq::quote_identifier(rights.value(0, 1));
  if (!rights.boolean(0, 0)) {
    const std::string grant = service_of(connection) == Service::kAmazon
                                  ? fmt::format("GRANT rds_replication TO {}", user)
                                  : fmt::format("ALTER ROLE {} REPLICATION", user);
    return Finding::error(fmt::format("source: user {} may not replicate", rights.value(0, 1)),
                          grant + ";")
        .mended_by("source", {grant});
  }
  const std::int64_t senders = rights.integer(0, 2);
  if (rights.integer(0, 3) >= senders) {
    Finding full = needs_setting(
        connection, fmt::format("source: all {} walsenders are in use (max_wal_senders)", senders),
        "max_wal_senders", std::to_string(senders + 5), "end one (pg_stat_replication)");
    full.kind = ErrorKind::kTransient;
    return full;
  }
  if (error.kind() == ErrorKind::kTransient) {
    return Finding::from(error);
  }
  return Finding::error(
      fmt::format("source: an ordinary session is accepted, one that replicates is not: {}",
                  error.what()),
      "is a pooler in between? Then name the server itself in source.dsn (PgBouncer passes "
      "replication on from 1.23.0); else see pg_hba.conf");
}

Findings check_free_slots(pq::Connection& connection, int needed) {
  if (needed == 0) {
    return {};
  }
  const pq::Result slots = connection.exec(
      "SELECT current_setting('max_replication_slots')::int, "
      "(SELECT count(*) FROM pg_replication_slots), "
      "(SELECT string_agg(slot_name, ', ' ORDER BY slot_name) FROM pg_replication_slots "
      "WHERE NOT active)",
      "count the replication slots");
  const std::int64_t most = slots.integer(0, 0);
  const std::int64_t used = slots.integer(0, 1);
  if (most - used >= needed) {
    return {Finding::ok(fmt::format("source: {} of {} replication slots are in use", used, most))};
  }
  const std::string unread =
      slots.is_null(0, 2) ? "" : fmt::format("; not read at the moment: {}", slots.value(0, 2));
  return {needs_setting(
      connection,
      fmt::format("source: {} of {} replication slots are in use, and {} needed{}", used, most,
                  needed == 1 ? "one more is" : std::to_string(needed) + " more are", unread),
      "max_replication_slots", std::to_string(used + needed + 3),
      slots.is_null(0, 2) ? "" : "drop one that nobody needs (pg_drop_replication_slot)")};
}

std::string add_table_fix(int server_version) {
  // Fixed in the releases of May 2025 (commit 4909b38af0), which could run out of memory by it; so
  // those of August 2025 are named.
  constexpr std::array<std::pair<int, int>, 5> kFixed{
      {{13, 22}, {14, 19}, {15, 14}, {16, 10}, {17, 6}}};
  const int major = server_version / 10000;
  if (major >= 18) {
    return {};
  }
  const auto line = std::find_if(kFixed.begin(), kFixed.end(),
                                 [&](const auto& fixed) { return fixed.first == major; });
  if (line == kFixed.end()) {
    return "a supported version";
  }
  return server_version % 10000 >= line->second ? std::string{}
                                                : fmt::format("{}.{}", line->first, line->second);
}

Findings check_database_and_version(int server_version, const ServerFacts& server) {
  Findings findings;
  if (server.encoding == "SQL_ASCII") {
    findings.push_back(Finding::warning(
        "source: the database's encoding is SQL_ASCII: a text that is not UTF-8 stops the pipeline",
        "move the data to a database with ENCODING 'UTF8' (pg_dump --encoding=…, createdb "
        "--encoding=UTF8 --template=template0)"));
  }
  if (const std::string fix = add_table_fix(server_version); !fix.empty()) {
    findings.push_back(Finding::warning(
        "source: this version can leave rows of a table unpublished that is added to a publication "
        "while transactions write to it",
        fmt::format("upgrade to {}; or, in the transaction that adds it, first: LOCK TABLE … IN "
                    "SHARE ROW EXCLUSIVE MODE",
                    fix)));
  }
  return findings;
}

}  // namespace headgate::source::postgres
