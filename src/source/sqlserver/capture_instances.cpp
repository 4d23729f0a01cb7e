#include "source/sqlserver/capture_instances.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>

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

ByChangeTable read_headers(odbc::Connection& connection) {
  odbc::Statement rows(connection, "read cdc.change_tables");
  // OBJECT_SCHEMA_NAME and OBJECT_NAME follow a renamed table.
  rows.execute(
      "SELECT capture_instance, object_id, source_object_id, "
      "OBJECT_SCHEMA_NAME(source_object_id), OBJECT_NAME(source_object_id), "
      "CONVERT(varchar(30), create_date, 126), start_lsn FROM cdc.change_tables");
  ByChangeTable instances;
  while (rows.next()) {
    CaptureInstance instance;
    instance.name = rows.text(0);
    instance.change_table = rows.integer(1);
    instance.source_table = rows.integer(2);
    instance.table = {rows.text(3), rows.text(4)};
    instance.create_date = rows.text(5);
    instance.start_lsn = lsn_of(rows, 6);
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
      "c.max_length, c.precision, c.scale, t.is_assembly_type "
      "FROM cdc.captured_columns cc "
      "JOIN sys.columns c ON c.object_id = cc.object_id AND c.name = cc.column_name "
      "JOIN sys.types t ON t.user_type_id = c.user_type_id "
      "LEFT JOIN sys.types b ON b.user_type_id = c.system_type_id "
      "WHERE cc.is_computed = 0 ORDER BY cc.object_id, cc.column_ordinal");
  while (rows.next()) {
    const auto found = instances.find(rows.integer(0));
    if (found == instances.end()) {
      continue;  // made since the first query
    }
    CapturedColumn column;
    column.name = rows.text(1);
    column.column_id = static_cast<std::uint32_t>(rows.integer(2));
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

void read_keys(odbc::Connection& connection, ByChangeTable& instances) {
  odbc::Statement rows(connection, "read the capture instances' keys");
  rows.execute(
      "SELECT object_id, column_name FROM cdc.index_columns ORDER BY object_id, index_ordinal");
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
    }
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

std::vector<CaptureInstance> read_instances(odbc::Connection& connection) {
  ByChangeTable instances = read_headers(connection);
  read_columns(connection, instances);
  read_keys(connection, instances);
  read_command_ids(connection, instances);
  std::vector<CaptureInstance> list;
  for (auto& [id, instance] : instances) {
    list.push_back(std::move(instance));
  }
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return list;
}

std::vector<InstanceFloor> read_floors(odbc::Connection& connection) {
  odbc::Statement rows(connection, "read cdc.change_tables");
  rows.execute("SELECT capture_instance, object_id, start_lsn FROM cdc.change_tables");
  std::vector<InstanceFloor> floors;
  while (rows.next()) {
    floors.push_back({rows.text(0), rows.integer(1), lsn_of(rows, 2)});
  }
  return floors;
}

TableSchemaPtr schema_of(const CaptureInstance& instance) {
  auto schema = std::make_shared<TableSchema>();
  schema->name = instance.table;
  schema->source_id = static_cast<std::uint32_t>(instance.source_table);
  if (instance.start_lsn) {
    schema->source_note = fmt::format("{} {}", instance.change_table, instance.start_lsn->to_hex());
  }
  for (const CapturedColumn& captured : instance.columns) {
    Column column;
    column.name = captured.name;
    column.source_id = captured.column_id;
    column.family = captured.mapping.family;
    column.native_type = captured.mapping.postgres_type;
    column.type_oid = captured.mapping.postgres_oid;
    schema->columns.push_back(std::move(column));
  }
  for (const std::size_t place : instance.key) {
    schema->columns[place].identity = true;
    schema->columns[place].nullable = false;
    schema->key.push_back(place);
  }
  return schema;
}

std::optional<InstanceNote> parse_note(const std::string& note) {
  InstanceNote parsed;
  const char* end = note.data() + note.size();
  const auto [stop, failure] = std::from_chars(note.data(), end, parsed.change_table);
  if (failure != std::errc{} || stop == end) {
    return std::nullopt;
  }
  parsed.start_lsn =
      LSN::parse(std::string_view(stop + 1, static_cast<std::size_t>(end - stop - 1)));
  return parsed;
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

}  // namespace headgate::source::sqlserver
