#include "sink/postgres/target_table.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace headgate::sink::postgres {
namespace {

void create_table(pq::Connection& connection, const SinkConfig& config) {
  const TableSchema& output = config.output;
  std::string columns;
  for (const Column& column : output.columns) {
    columns +=
        fmt::format("{}{} {}{}", columns.empty() ? "" : ", ", pq::quote_identifier(column.name),
                    sink_type(connection, column), column.nullable ? "" : " NOT NULL");
  }
  if (!output.key.empty()) {
    std::string key;
    for (const std::string& name : config.primary_key()) {
      key += (key.empty() ? "" : ", ") + pq::quote_identifier(name);
    }
    columns += fmt::format(", PRIMARY KEY ({})", key);
  }
  const std::string doing = "create table " + output.name.to_string();
  const std::string schema_name = pq::quote_identifier(output.name.schema);
  const std::string table_name = quoted_table(output.name);
  const bool has_schema =
      connection
          .exec("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL", {output.name.schema}, doing)
          .boolean(0, 0);
  try {
    if (!has_schema) {
      connection.exec("CREATE SCHEMA " + schema_name, doing);
    }
    connection.exec(fmt::format("CREATE TABLE {} ({})", table_name, columns), doing);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    const std::string grant = has_schema ? fmt::format("GRANT CREATE ON SCHEMA {} TO {};",
                                                       schema_name, connection.quoted_user())
                                         : fmt::format("CREATE SCHEMA {} AUTHORIZATION {};",
                                                       schema_name, connection.quoted_user());
    throw Error{error.kind(), error.what(),
                fmt::format("{} or create the table yourself: CREATE TABLE {} ({});", grant,
                            table_name, columns)};
  }
}

struct SinkColumn {
  std::string name;
  std::uint32_t type_oid;
  std::string type;       // with its modifier
  std::string cast_type;  // without
  bool must_be_given;     // NOT NULL and no default
  bool generated;
};

std::vector<SinkColumn> read_columns(pq::Connection& connection, std::uint32_t oid) {
  const char* generated = connection.server_version() >= 120000 ? "attgenerated <> ''" : "false";
  // format_type(…, -1), not NULL: `character` without a length would mean one character.
  const pq::Result rows = connection.exec(
      fmt::format(
          "SELECT attname, atttypid, format_type(atttypid, atttypmod), "
          "format_type(atttypid, -1), attnotnull AND NOT atthasdef AND attidentity = '', {} "
          "FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
          generated),
      {std::to_string(oid)}, "read the columns of a table");
  std::vector<SinkColumn> columns;
  for (int row = 0; row < rows.rows(); ++row) {
    columns.push_back({rows.text(row, 0), static_cast<std::uint32_t>(rows.integer(row, 1)),
                       rows.text(row, 2), rows.text(row, 3), rows.boolean(row, 4),
                       rows.boolean(row, 5)});
  }
  return columns;
}

// The number in `character varying(20)`; nothing when there is none.
std::optional<int> length_of(std::string_view type) {
  const auto open = type.find('(');
  if (open == std::string_view::npos) {
    return std::nullopt;
  }
  int length = 0;
  const auto [end, failure] =
      std::from_chars(type.data() + open + 1, type.data() + type.size(), length);
  return failure == std::errc{} && *end == ')' ? std::optional{length} : std::nullopt;
}

// Whether a column of type `have` takes every value of type `want` unchanged.
bool holds(std::string_view have, std::string_view want) {
  if (have == want || have == "text") {
    return true;
  }
  const bool small = want == "smallint";
  const bool integer = small || want == "integer";
  const bool any_integer = integer || want == "bigint";
  if ((have == "integer" && small) || (have == "bigint" && integer) ||
      (have == "numeric" && (any_integer || want.starts_with("numeric(")))) {
    return true;
  }
  constexpr std::string_view kVarying = "character varying";
  if (have.starts_with(kVarying) && want.starts_with(kVarying)) {
    const auto have_length = length_of(have);
    const auto want_length = length_of(want);
    return !have_length || (want_length && *want_length <= *have_length);
  }
  return false;
}

// True when some unique index covers exactly the key, so that ON CONFLICT can name it.
bool has_key_index(pq::Connection& connection, std::uint32_t oid, const SinkConfig& config) {
  std::vector<std::string> key = config.primary_key();
  std::sort(key.begin(), key.end());
  const pq::Result rows = connection.exec(
      "SELECT a.names "
      "FROM pg_index i CROSS JOIN LATERAL (SELECT string_agg(attname, chr(1) ORDER BY attname "
      "COLLATE \"C\") AS names FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = "
      "ANY (i.indkey::int2[])) AS a "
      "WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indimmediate "
      "AND i.indpred IS NULL AND i.indexprs IS NULL",
      {std::to_string(oid)}, "read the indexes of a table");
  std::string wanted;
  for (const std::string& name : key) {
    wanted += (wanted.empty() ? "" : "\1") + name;
  }
  for (int row = 0; row < rows.rows(); ++row) {
    if (rows.value(row, 0) == wanted) {
      return true;
    }
  }
  return false;
}

bool must_keep_order(pq::Connection& connection, std::uint32_t oid) {
  const pq::Result rows = connection.exec(
      "SELECT (SELECT count(*) > 1 FROM pg_index WHERE indrelid = $1::oid AND indisunique) "
      "    OR EXISTS (SELECT 1 FROM pg_constraint WHERE contype IN ('f', 'x') "
      "               AND (conrelid = $1::oid OR confrelid = $1::oid)) "
      "    OR EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal "
      "               AND tgenabled IN ('O', 'A'))",
      {std::to_string(oid)}, "read the constraints of a table");
  return rows.boolean(0, 0);
}

void check_key(pq::Connection& connection, std::uint32_t oid, const SinkConfig& config) {
  if (config.output.key.empty() || has_key_index(connection, oid, config)) {
    return;
  }
  std::string key;
  for (const std::string& name : config.primary_key()) {
    key += (key.empty() ? "" : ", ") + pq::quote_identifier(name);
  }
  throw Error{
      ErrorKind::kOperator,
      fmt::format("table {} has no unique index on its key ({})", config.output.name.to_string(),
                  key),
      fmt::format("ALTER TABLE {} ADD PRIMARY KEY ({});", quoted_table(config.output.name), key)};
}

void check_extra_columns(const std::vector<SinkColumn>& present, const SinkConfig& config) {
  for (const SinkColumn& column : present) {
    const bool ours = std::any_of(config.output.columns.begin(), config.output.columns.end(),
                                  [&](const Column& c) { return c.name == column.name; });
    if (!ours && column.must_be_given && !column.generated) {
      throw Error{
          ErrorKind::kOperator,
          fmt::format("table {} has column {} that the source has not, NOT NULL and without "
                      "a default",
                      config.output.name.to_string(), column.name),
          fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;",
                      quoted_table(config.output.name), pq::quote_identifier(column.name))};
    }
  }
}

// How to compare values of a type so that an index on them can be used.
std::string equality_of(pq::Connection& connection, std::uint32_t type_oid) {
  constexpr std::uint32_t kFirstUserOid = 16384;
  if (type_oid < kFirstUserOid) {
    return "=";
  }
  const pq::Result found = connection.exec(
      "SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_opclass c "
      "JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree' "
      "JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amopstrategy = 3 "
      "  AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype "
      "JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace "
      "WHERE c.opcdefault AND c.opcintype = $1::oid",
      {std::to_string(type_oid)}, "look up a type's equality");
  return found.rows() == 0 ? "=" : found.text(0, 0);  // of enums and the like: pg_catalog's
}

TargetTable::TargetColumn match_column(pq::Connection& connection, const SinkConfig& config,
                                       const std::vector<SinkColumn>& present,
                                       const Column& wanted) {
  const TableName& table = config.output.name;
  const std::string want_type = sink_type(connection, wanted);
  const auto found = std::find_if(present.begin(), present.end(), [&](const SinkColumn& column) {
    return column.name == wanted.name;
  });
  if (found == present.end()) {
    throw Error{
        ErrorKind::kOperator,
        fmt::format("table {} has no column {} ({} at the source)", table.to_string(), wanted.name,
                    wanted.native_type),
        fmt::format("ALTER TABLE {} ADD COLUMN {} {}; and fill it for the rows that are there "
                    "as the source did",
                    quoted_table(table), pq::quote_identifier(wanted.name), want_type)};
  }
  if (found->generated) {
    throw Error{ErrorKind::kOperator,
                fmt::format("column {} of table {} is generated in the sink and sent by the source",
                            wanted.name, table.to_string()),
                fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP EXPRESSION;", quoted_table(table),
                            pq::quote_identifier(wanted.name))};
  }
  if (!holds(found->type, want_type)) {
    throw Error{ErrorKind::kOperator,
                fmt::format("column {} of table {} is {}, and the source sends {}", wanted.name,
                            table.to_string(), found->type, wanted.native_type),
                fmt::format("ALTER TABLE {} ALTER COLUMN {} TYPE {};", quoted_table(table),
                            pq::quote_identifier(wanted.name), want_type)};
  }
  return {pq::quote_identifier(wanted.name), found->type_oid, found->cast_type,
          equality_of(connection, found->type_oid)};
}

}  // namespace

std::string quoted_table(const TableName& name) {
  return pq::quote_identifier(name.schema) + "." + pq::quote_identifier(name.table);
}

std::string sink_type(pq::Connection& connection, const Column& column) {
  if (column.type_oid != 0 && column.type_oid < 16384) {
    return column.native_type;
  }
  const pq::Result known = connection.exec("SELECT to_regtype($1) IS NOT NULL",
                                           {column.native_type}, "look up a column type");
  return known.boolean(0, 0) ? column.native_type : "text";
}

TargetTable open_target_table(pq::Connection& connection, const SinkConfig& config,
                              MissingTable missing) {
  const TableName& name = config.output.name;
  const auto look_up = [&] {
    return connection.exec(
        "SELECT c.oid, c.relkind IN ('r', 'p'), c.relkind = 'p', c.relhasrules FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        {name.schema, name.table}, "look up table " + name.to_string());
  };
  pq::Result found = look_up();
  if (found.rows() == 0 && missing == MissingTable::kRefuse) {
    throw Error{
        ErrorKind::kOperator,
        fmt::format("table {} is not in the sink, although the pipeline has a position there: "
                    "rows of it were never copied, or are gone",
                    name.to_string()),
        "restore it; or leave it out of `tables`; or, if it is new and every row of it is "
        "still to come, create it"};
  }
  const bool missing_yet = found.rows() == 0;
  if (missing_yet) {
    create_table(connection, config);
    found = look_up();
  }
  if (!found.boolean(0, 1)) {
    throw Error{ErrorKind::kOperator,
                fmt::format("{} is not a table in the sink", name.to_string()),
                "drop or rename it, or mirror into another schema (`mirror: { schema: … }`)"};
  }
  const auto oid = static_cast<std::uint32_t>(found.integer(0, 0));
  const std::vector<SinkColumn> present = read_columns(connection, oid);

  TargetTable table;
  table.quoted_name = quoted_table(name);
  table.created = missing_yet;
  const bool partitioned = found.boolean(0, 2);
  table.own_rows = (partitioned ? "" : "ONLY ") + table.quoted_name;
  for (const Column& column : config.output.columns) {
    table.columns.push_back(match_column(connection, config, present, column));
  }
  check_extra_columns(present, config);
  check_key(connection, oid, config);
  table.needs_source_order = must_keep_order(connection, oid);
  table.has_rules = found.boolean(0, 3);
  return table;
}

}  // namespace headgate::sink::postgres
