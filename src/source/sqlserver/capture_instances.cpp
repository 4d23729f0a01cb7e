#include "source/sqlserver/capture_instances.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"

namespace headgate::source::sqlserver {
namespace {

std::optional<LSN> lsn_of(odbc::Statement& rows, std::size_t column) {
  if (rows.is_null(column)) {
    return std::nullopt;
  }
  return LSN::from_bytes(rows.bytes(column));
}

using ByChangeTable = std::map<std::int64_t, CaptureInstance>;

// All in one text: the change table is altered by the capture process when a type was changed, the
// source table by whoever alters it. Both times come in steps of 1/300 s, within which two ALTERs
// look like one: the log position of the last one, which may come later than the change table's
// time, and the source table's name tell them apart. Only ever compared for equality.
constexpr const char* kModified =
    "CONVERT(varchar(30), c.modify_date, 126), CONVERT(varchar(30), s.modify_date, 126), "
    "(SELECT MAX(h.ddl_lsn) FROM cdc.ddl_history h WHERE h.object_id = t.object_id), "
    "s.schema_id, s.name ";
constexpr const char* kFromInstances =
    "FROM cdc.change_tables t LEFT JOIN sys.objects c ON c.object_id = t.object_id "
    "LEFT JOIN sys.objects s ON s.object_id = t.source_object_id";

std::string modified_of(odbc::Statement& rows, std::size_t column) {
  const auto last_ddl = lsn_of(rows, column + 2);
  return fmt::format("{} {} {} {} {}", rows.text(column), rows.text(column + 1),
                     last_ddl ? last_ddl->to_hex() : "", rows.text(column + 3),
                     rows.text(column + 4));
}

ByChangeTable read_headers(odbc::Connection& connection) {
  odbc::Statement rows(connection, "read cdc.change_tables");
  // OBJECT_SCHEMA_NAME and OBJECT_NAME follow a renamed table.
  rows.execute(
      fmt::format("SELECT t.capture_instance, t.object_id, t.source_object_id, "
                  "OBJECT_SCHEMA_NAME(t.source_object_id), OBJECT_NAME(t.source_object_id), "
                  "CONVERT(varchar(30), t.create_date, 126), t.start_lsn, t.role_name, "
                  "t.index_name, CONVERT(int, t.supports_net_changes), {}{}",
                  kModified, kFromInstances));
  ByChangeTable instances;
  while (rows.next()) {
    CaptureInstance instance;
    instance.name = rows.text(0);
    instance.change_table = rows.integer(1);
    instance.source_table = rows.integer(2);
    instance.table = {rows.text(3), rows.text(4)};
    instance.create_date = rows.text(5);
    instance.start_lsn = lsn_of(rows, 6);
    instance.role_name = rows.text(7);
    instance.index_name = rows.text(8);
    instance.supports_net_changes = !rows.is_null(9) && rows.integer(9) != 0;
    instance.modified = modified_of(rows, 10);
    const std::int64_t id = instance.change_table;
    instances.emplace(id, std::move(instance));
  }
  return instances;
}

// Types from the change table, which is what is read: the source's may have been altered a moment
// ago, and the change table only follows.
void read_columns(odbc::Connection& connection, ByChangeTable& instances) {
  odbc::Statement rows(connection, "read the captured columns");
  rows.execute(
      "SELECT cc.object_id, cc.column_name, cc.column_id, cc.column_ordinal, "
      "CASE WHEN t.is_assembly_type = 1 OR b.name IS NULL THEN t.name ELSE b.name END, "
      "c.max_length, c.precision, c.scale, t.is_assembly_type, CONVERT(int, cc.is_computed) "
      "FROM cdc.captured_columns cc "
      "JOIN sys.columns c ON c.object_id = cc.object_id AND c.name = cc.column_name "
      "JOIN sys.types t ON t.user_type_id = c.user_type_id "
      "LEFT JOIN sys.types b ON b.user_type_id = c.system_type_id "
      "ORDER BY cc.object_id, cc.column_ordinal");
  while (rows.next()) {
    const auto found = instances.find(rows.integer(0));
    if (found == instances.end()) {
      continue;  // made since the first query
    }
    CapturedColumn column;
    column.name = rows.text(1);
    column.column_id = static_cast<std::uint32_t>(rows.integer(2));
    found->second.newest_column = std::max(found->second.newest_column, column.column_id);
    if (!rows.is_null(9) && rows.integer(9) != 0) {
      continue;
    }
    column.ordinal = static_cast<std::size_t>(rows.integer(3));
    column.type.name = rows.text(4);
    column.type.max_length = static_cast<std::int32_t>(rows.integer(5));
    column.type.precision = static_cast<int>(rows.integer(6));
    column.type.scale = static_cast<int>(rows.integer(7));
    column.type.clr = rows.integer(8) != 0;
    column.mapping = map_type(column.type);
    found->second.columns.push_back(std::move(column));
  }
}

// What the source tables are now: columns that came after an instance, and columns that went.
void read_source_columns(odbc::Connection& connection, ByChangeTable& instances) {
  odbc::Statement rows(connection, "read the captured tables' columns");
  // 189: rowversion.
  rows.execute(
      "SELECT t.object_id, s.column_id, s.name, CASE WHEN s.is_nullable = 1 AND "
      "s.default_object_id = 0 AND s.is_identity = 0 AND s.system_type_id <> 189 "
      "THEN 1 ELSE 0 END, CONVERT(int, s.is_computed) "
      "FROM cdc.change_tables t JOIN sys.columns s ON s.object_id = t.source_object_id "
      "ORDER BY t.object_id, s.column_id");
  std::map<std::int64_t, std::set<std::uint32_t>> present;
  while (rows.next()) {
    const auto found = instances.find(rows.integer(0));
    if (found == instances.end()) {
      continue;
    }
    SourceColumn column;
    column.column_id = static_cast<std::uint32_t>(rows.integer(1));
    column.name = rows.text(2);
    column.added_as_null = rows.integer(3) != 0;
    present[found->first].insert(column.column_id);
    if (rows.integer(4) == 0) {
      found->second.source_columns.push_back(std::move(column));
    }
  }
  for (const auto& [id, columns] : present) {
    for (CapturedColumn& column : instances.at(id).columns) {
      column.dropped = !columns.contains(column.column_id);
    }
  }
}

// Whole, or not at all: a key with a computed column, whose values CDC does not record, would be
// that of several rows without it.
void read_keys(odbc::Connection& connection, ByChangeTable& instances) {
  odbc::Statement rows(connection, "read the capture instances' keys");
  rows.execute(
      "SELECT object_id, column_name FROM cdc.index_columns ORDER BY object_id, index_ordinal");
  std::set<std::int64_t> incomplete;
  while (rows.next()) {
    const auto found = instances.find(rows.integer(0));
    if (found == instances.end()) {
      continue;
    }
    auto& columns = found->second.columns;
    const std::string name = rows.text(1);
    const auto column =
        std::find_if(columns.begin(), columns.end(),
                     [&](const CapturedColumn& candidate) { return candidate.name == name; });
    if (column != columns.end()) {
      found->second.key.push_back(static_cast<std::size_t>(column - columns.begin()));
    } else {
      incomplete.insert(found->first);
    }
  }
  for (const std::int64_t id : incomplete) {
    instances.at(id).key.clear();
  }
}

// Some upgraded databases lack it (sqlserver-cdc 1.6).
void read_command_ids(odbc::Connection& connection, ByChangeTable& instances) {
  for (auto& [id, instance] : instances) {
    instance.has_command_id = false;
  }
  odbc::Statement rows(connection, "look for __$command_id");
  rows.execute(
      "SELECT c.object_id FROM sys.columns c JOIN cdc.change_tables t ON t.object_id = c.object_id "
      "WHERE c.name = '__$command_id'");
  while (rows.next()) {
    if (const auto found = instances.find(rows.integer(0)); found != instances.end()) {
      found->second.has_command_id = true;
    }
  }
}

}  // namespace

CaptureInstances read_instances(odbc::Connection& connection) {
  ByChangeTable instances = read_headers(connection);
  read_columns(connection, instances);
  read_source_columns(connection, instances);
  read_keys(connection, instances);
  read_command_ids(connection, instances);
  CaptureInstances list;
  for (auto& [id, instance] : instances) {
    list.push_back(std::move(instance));
  }
  // By the tables' names, and then by age. The start says nothing of it: clean-up can raise that of
  // one instance alone.
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return std::tie(a.table, a.source_table, a.create_date, a.change_table) <
           std::tie(b.table, b.source_table, b.create_date, b.change_table);
  });
  return list;
}

InstanceFloors read_floors(odbc::Connection& connection) {
  odbc::Statement rows(connection, "read cdc.change_tables");
  rows.execute(
      fmt::format("SELECT t.capture_instance, t.object_id, t.start_lsn, {}{} ORDER BY t.object_id",
                  kModified, kFromInstances));
  InstanceFloors floors;
  while (rows.next()) {
    floors.push_back({rows.text(0), rows.integer(1), lsn_of(rows, 2), modified_of(rows, 3)});
  }
  return floors;
}

const CapturedColumn* CaptureInstance::column(std::uint32_t column_id) const {
  const auto found = std::find_if(
      columns.begin(), columns.end(),
      [column_id](const CapturedColumn& candidate) { return candidate.column_id == column_id; });
  return found == columns.end() ? nullptr : &*found;
}

std::string quoted(const std::string& name) {
  std::string text = "[";
  for (const char c : name) {
    text += c;
    if (c == ']') {
      text += c;
    }
  }
  return text + "]";
}

std::string literal(const std::string& text) {
  std::string quoted_text = "N'";
  for (const char c : text) {
    quoted_text += c == '\'' ? "''" : std::string(1, c);
  }
  return quoted_text + "'";
}

}  // namespace headgate::source::sqlserver
