#include "source/sqlserver/server_check.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/check_parts.hpp"

namespace headgate::source::sqlserver {
namespace {

// The numbers of 13.0.4001.0.
std::vector<int> numbers_of(const std::string& version) {
  std::vector<int> numbers;
  const char* at = version.data();
  const char* const end = at + version.size();
  while (at < end) {
    int number = 0;
    const auto [stop, failure] = std::from_chars(at, end, number);
    if (failure != std::errc{}) {
      break;
    }
    numbers.push_back(number);
    at = stop < end && *stop == '.' ? stop + 1 : end;
  }
  return numbers;
}

std::string lower(std::string text) {
  for (char& c : text) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

bool same_but_for_case(const TableName& a, const TableName& b) {
  return lower(a.schema) == lower(b.schema) && lower(a.table) == lower(b.table);
}

struct ServerTable {
  TableName name;
  bool memory_optimized = false;
  bool history = false;  // of a temporal table
};

std::vector<ServerTable> tables_of(odbc::Connection& connection) {
  odbc::Statement rows(connection, "list the tables");
  rows.execute(
      "SELECT SCHEMA_NAME(schema_id), name, CONVERT(int, is_memory_optimized), "
      "CONVERT(int, temporal_type) FROM sys.tables WHERE is_ms_shipped = 0");
  std::vector<ServerTable> tables;
  while (rows.next()) {
    ServerTable table;
    table.name = {rows.text(0), rows.text(1)};
    table.memory_optimized = !rows.is_null(2) && rows.integer(2) != 0;
    table.history = !rows.is_null(3) && rows.integer(3) == 1;
    tables.push_back(std::move(table));
  }
  return tables;
}

// Instances of tables that the login cannot see: names are hidden from who has no right on them.
std::vector<std::string> instances_of_hidden_tables(odbc::Connection& connection) {
  odbc::Statement rows(connection, "look for tables that are hidden from us");
  rows.execute(
      "SELECT capture_instance FROM cdc.change_tables WHERE OBJECT_NAME(source_object_id) IS NULL");
  std::vector<std::string> names;
  while (rows.next()) {
    names.push_back(rows.text(0));
  }
  return names;
}

Finding check_named_table(const TableName& name, const std::vector<ServerTable>& tables,
                          const std::vector<std::string>& hidden, const ServerFacts& server) {
  const auto exact = std::find_if(tables.begin(), tables.end(),
                                  [&](const ServerTable& table) { return table.name == name; });
  if (exact != tables.end()) {
    if (exact->memory_optimized) {
      return Finding::error(
          fmt::format("source: table {} is memory-optimized: such tables cannot be captured",
                      name.to_string()),
          "take it out of `tables`");
    }
    return Finding::error(fmt::format("source: table {} is not captured", name.to_string()),
                          enable_table(name))
        .mended_by("source", {enable_table(name)});
  }
  const auto other = std::find_if(tables.begin(), tables.end(), [&](const ServerTable& table) {
    return same_but_for_case(table.name, name);
  });
  if (other != tables.end()) {
    return Finding::error(fmt::format("source: there is no table {}, but {}", name.to_string(),
                                      other->name.to_string()),
                          "write the name in `tables` as the server has it, letter by letter");
  }
  if (!hidden.empty()) {
    return Finding::error(
        fmt::format("source: there is no table {} that {} may see; of other captured tables it may "
                    "not see the names (capture instances {})",
                    name.to_string(), server.user, joined(hidden)),
        fmt::format("GRANT VIEW DEFINITION TO {};", quoted(server.user)));
  }
  return Finding::error(
      fmt::format("source: table {} does not exist, or {} may not see it", name.to_string(),
                  server.user),
      fmt::format("correct `tables`, or GRANT VIEW DEFINITION TO {};", quoted(server.user)));
}

}  // namespace

std::string enable_table(const TableName& table) {
  std::string statement =
      fmt::format("EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}",
                  literal(table.schema), literal(table.table));
  // The default, schema_table, may be too long (error 22927). Lengths in characters: bytes are as
  // many or more.
  constexpr std::size_t kInstanceMax = 100;
  if (table.schema.size() + 1 + table.table.size() > kInstanceMax) {
    std::string name = (table.schema + "_" + table.table).substr(0, kInstanceMax);
    while (!name.empty() && (static_cast<unsigned char>(name.back()) & 0xC0U) == 0x80U) {
      name.pop_back();  // not in the middle of a character
    }
    if (!name.empty() && static_cast<unsigned char>(name.back()) >= 0xC0U) {
      name.pop_back();
    }
    statement += ", @capture_instance = " + literal(name);
  }
  return statement + ", @role_name = NULL;";
}

Finding check_version(const ServerFacts& server) {
  constexpr int kSynapse = 6;
  constexpr int kServerless = 11;  // Synapse's, and Fabric's endpoints
  if (server.engine_edition == kSynapse || server.engine_edition == kServerless) {
    return Finding::error(
        fmt::format("source: {} captures no changes", server.edition),
        "name a SQL Server, an Azure SQL Database or a Managed Instance in source.dsn");
  }
  const std::string what = fmt::format("source: SQL Server {}, {}", server.version, server.edition);
  // SP1 of 2016 brought change data capture to the Standard Edition, and AT TIME ZONE its views.
  const std::vector<int> floor{13, 0, 4001};
  if (server.is_box_product() && numbers_of(server.version) < floor) {
    return Finding::error(what + " is older than SQL Server 2016 SP1 (13.0.4001)",
                          "upgrade the server");
  }
  return Finding::ok(what);
}

Finding check_capture_is_on(odbc::Connection& connection, const ServerFacts& server) {
  odbc::Statement rows(connection, "look at the database");
  rows.execute(
      "SELECT CONVERT(int, is_cdc_enabled) FROM sys.databases WHERE database_id = DB_ID()");
  if (!rows.next()) {
    throw Error{ErrorKind::kOperator, "source: the database is not in sys.databases",
                "name a database in source.dsn (Database=…)"};
  }
  const bool enabled = rows.integer(0) != 0;
  rows.drain();
  if (enabled) {
    return Finding::ok(
        fmt::format("source: change data capture is on in database {}", server.database));
  }
  const std::string off =
      fmt::format("source: change data capture is off in database {}", server.database);
  constexpr int kExpress = 4;
  if (server.engine_edition == kExpress || server.edition.starts_with("Web")) {
    return Finding::error(
        fmt::format("{}, and {} has none", off, server.edition),
        "move to the Standard, Enterprise or Developer edition (2016 SP1 or later)");
  }
  if (server.database == "master" || server.database == "msdb") {
    return Finding::error(off, "name the database in source.dsn (Database=…)");
  }
  const std::string enable = "EXEC sys.sp_cdc_enable_db;";
  return Finding::error(off, server.is_azure_database()
                                 ? enable + " (as db_owner); then enable the tables"
                                 : fmt::format("USE {}; {} (as sysadmin); then enable the tables",
                                               quoted(server.database), enable))
      .mended_by("source", {enable});
}

namespace {

// An instance of a table that is not ours to read; its schema and its name stand in `schema` and
// behind it. Names that are hidden from the login may be anybody's.
bool is_of_others(odbc::Statement& rows, std::size_t schema, const TableFilter& filter) {
  return !rows.is_null(schema) && !rows.is_null(schema + 1) &&
         !filter.matches({rows.text(schema), rows.text(schema + 1)});
}

// fn_cdc_get_min_lsn makes the check of the functions that are read: zeros are a refusal.
Findings check_functions(odbc::Connection& connection, const ServerFacts& server,
                         const TableFilter& filter) {
  odbc::Statement rows(connection, "ask for our access to the capture instances");
  rows.execute(
      "SELECT capture_instance, role_name, OBJECT_SCHEMA_NAME(source_object_id), "
      "OBJECT_NAME(source_object_id) FROM cdc.change_tables WHERE "
      "sys.fn_cdc_get_min_lsn(capture_instance) = 0x00000000000000000000");
  Findings findings;
  const std::string user = quoted(server.user);
  while (rows.next()) {
    if (is_of_others(rows, 2, filter)) {
      continue;
    }
    std::vector<std::string> statements;
    if (!rows.is_null(3)) {
      statements.push_back(fmt::format("GRANT SELECT ON {}.{} TO {};", quoted(rows.text(2)),
                                       quoted(rows.text(3)), user));
    }
    if (!rows.is_null(1)) {
      statements.push_back(fmt::format("ALTER ROLE {} ADD MEMBER {};", quoted(rows.text(1)), user));
    }
    std::string remedy;
    for (const std::string& statement : statements) {
      remedy += (remedy.empty() ? "" : " ") + statement;
    }
    findings.push_back(
        Finding::error(fmt::format("source: the functions of capture instance {} refuse user {}: "
                                   "they want SELECT on all its columns of the table, and "
                                   "membership in its gating role",
                                   rows.text(0), server.user),
                       remedy)
            .mended_by("source", statements));
  }
  return findings;
}

}  // namespace

Findings check_reading(odbc::Connection& connection, const ServerFacts& server,
                       const TableFilter& filter, QueryMode mode) {
  {
    odbc::Statement rows(connection, "ask for our rights");
    rows.execute("SELECT ISNULL(HAS_PERMS_BY_NAME(N'cdc', N'SCHEMA', N'SELECT'), 0)");
    const bool all = rows.next() && rows.integer(0) != 0;
    rows.close();
    if (all) {
      return mode == QueryMode::kFunctions ? check_functions(connection, server, filter)
                                           : Findings{};
    }
  }
  std::vector<std::string> refused = unreadable(
      connection, {"[cdc].[change_tables]", "[cdc].[captured_columns]", "[cdc].[index_columns]",
                   "[cdc].[lsn_time_mapping]", "[cdc].[ddl_history]"});
  if (refused.empty() && mode == QueryMode::kDirect) {
    std::vector<std::string> change_tables;
    odbc::Statement rows(connection, "list the capture instances");
    rows.execute(
        "SELECT capture_instance, OBJECT_SCHEMA_NAME(source_object_id), "
        "OBJECT_NAME(source_object_id) FROM cdc.change_tables");
    while (rows.next()) {
      if (!is_of_others(rows, 1, filter)) {
        change_tables.push_back("[cdc]." + quoted(rows.text(0) + "_CT"));
      }
    }
    refused = unreadable(connection, change_tables);
  }
  if (refused.empty()) {
    return mode == QueryMode::kFunctions ? check_functions(connection, server, filter) : Findings{};
  }
  std::string grant = fmt::format("GRANT SELECT ON SCHEMA::[cdc] TO {};", quoted(server.user));
  if (mode == QueryMode::kFunctions) {
    // What is mirrored stays behind the functions and the gating roles.
    grant = fmt::format("GRANT VIEW DEFINITION ON SCHEMA::[cdc] TO {};", quoted(server.user));
    for (const std::string& table : refused) {
      grant += fmt::format(" GRANT SELECT ON {} TO {};", table, quoted(server.user));
    }
  }
  return {Finding::error(
              fmt::format("source: user {} may not read {}", server.user, joined(refused)), grant)
              .mended_by("source", {grant})};
}

Findings check_tables(odbc::Connection& connection, const ServerFacts& server,
                      const TableFilter& filter, const std::vector<CaptureInstance>& all) {
  const auto captured = [&](const TableName& name) {
    return std::any_of(all.begin(), all.end(),
                       [&](const CaptureInstance& instance) { return instance.table == name; });
  };
  const std::vector<ServerTable> tables = tables_of(connection);
  const std::vector<TableName> named = filter.named();
  Findings findings;
  std::optional<std::vector<std::string>> hidden;
  for (const TableName& name : named) {
    if (!captured(name)) {
      if (!hidden) {
        hidden = instances_of_hidden_tables(connection);
      }
      findings.push_back(check_named_table(name, tables, *hidden, server));
    }
  }
  std::vector<std::string> left_out;
  std::string statements;
  for (const ServerTable& table : tables) {
    const bool asked_for =
        filter.matches(table.name) && !table.memory_optimized && !table.history &&
        std::find(named.begin(), named.end(), table.name) == named.end() && !captured(table.name);
    if (asked_for) {
      if (left_out.size() < kNamedMax) {
        statements += (statements.empty() ? "" : " ") + enable_table(table.name);
      }
      left_out.push_back(table.name.to_string());
    }
  }
  if (!left_out.empty()) {
    findings.push_back(Finding::warning(
        fmt::format("source: {} `tables` but {} not captured, and so not followed: {}",
                    left_out.size() == 1 ? "one table matches" : "tables match",
                    left_out.size() == 1 ? "is" : "are", joined(left_out)),
        statements));
  }
  return findings;
}

}  // namespace headgate::source::sqlserver
