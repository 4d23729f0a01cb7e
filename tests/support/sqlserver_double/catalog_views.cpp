#include "support/sqlserver_double/catalog_views.hpp"

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

const SqlType kInt = type_of(TypeKind::kInt);
const SqlType kBit = type_of(TypeKind::kBit);
const SqlType kTiny = type_of(TypeKind::kTinyInt);
const SqlType kSmall = type_of(TypeKind::kSmallInt);
const SqlType kBig = type_of(TypeKind::kBigInt);
const SqlType kDateTime = type_of(TypeKind::kDateTime);
const SqlType kName = sysname_type();

Value moment_value(const Moment& moment) {
  return rounded(moment, kDateTime);
}

Rowset databases_view(Context& context) {
  Rowset rowset = empty_rowset({{"name", kName, false},
                                {"database_id", kInt, false},
                                {"create_date", kDateTime, false},
                                {"compatibility_level", kTiny},
                                {"collation_name", kName},
                                {"state", kTiny},
                                {"state_desc", text_type(60, true)},
                                {"is_read_only", kBit},
                                {"snapshot_isolation_state", kTiny},
                                {"snapshot_isolation_state_desc", text_type(60, true)},
                                {"is_read_committed_snapshot_on", kBit},
                                {"recovery_model", kTiny},
                                {"recovery_model_desc", text_type(60, true)},
                                {"is_cdc_enabled", kBit, false},
                                {"log_reuse_wait_desc", text_type(60, true)},
                                {"is_accelerated_database_recovery_on", kBit},
                                {"replica_id", type_of(TypeKind::kUniqueIdentifier)}});
  for (const auto& [key, database] : context.engine().databases) {
    add_row(
        rowset,
        {text_value(database->name), number(database->id), moment_value(database->create_date),
         number(context.engine().traits.major_version * 10),
         text_value("SQL_Latin1_General_CP1_CI_AS"), number(0), text_value("ONLINE"), number(0),
         number(database->snapshot_isolation ? 1 : 0),
         text_value(database->snapshot_isolation ? "ON" : "OFF"),
         number(database->read_committed_snapshot), number(1), text_value("FULL"),
         number(database->cdc_enabled),
         text_value(database->uncaptured.empty() ? "NOTHING" : "REPLICATION"), number(0),
         context.engine().traits.in_availability_group ? database->family_guid : Value(Null{})});
  }
  return rowset;
}

Rowset schemas_view(Database& database) {
  Rowset rowset =
      empty_rowset({{"name", kName, false}, {"schema_id", kInt, false}, {"principal_id", kInt}});
  for (const auto& [name, id] : database.schemas) {
    add_row(rowset, {text_value(name), number(id), number(1)});
  }
  return rowset;
}

Rowset tables_view(Database& database, bool objects) {
  Rowset rowset = empty_rowset({{"name", kName, false},
                                {"object_id", kInt, false},
                                {"schema_id", kInt, false},
                                {"type", text_type(2, false)},
                                {"type_desc", text_type(60, true)},
                                {"create_date", kDateTime, false},
                                {"modify_date", kDateTime, false},
                                {"is_ms_shipped", kBit, false},
                                {"is_tracked_by_cdc", kBit},
                                {"is_memory_optimized", kBit},
                                {"temporal_type", kTiny},
                                {"is_external", kBit},
                                {"is_node", kBit},
                                {"is_edge", kBit},
                                {"lob_data_space_id", kInt},
                                {"parent_object_id", kInt}});
  const auto add = [&](const std::string& name, int id, const std::string& schema, const char* type,
                       const Moment& created, const Moment& modified, bool shipped, bool tracked) {
    add_row(
        rowset,
        {text_value(name), number(id), number(database.schemas.at(lower(schema))), text_value(type),
         text_value(std::string(type) == "U" ? "USER_TABLE" : "SQL_INLINE_TABLE_VALUED_FUNCTION"),
         moment_value(created), moment_value(modified), number(shipped), number(tracked), number(0),
         number(0), number(0), number(0), number(0), number(0), number(0)});
  };
  for (const auto& [id, table] : database.tables()) {
    add(table->name, id, table->schema, "U", table->create_date, table->modify_date, table->shipped,
        table->tracked_by_cdc);
  }
  for (const CaptureInstance& instance : database.instances) {
    if (objects) {
      add("fn_cdc_get_all_changes_" + instance.name, instance.object_id + 1, "cdc", "IF",
          instance.create_date, instance.create_date, false, false);
    }
  }
  return rowset;
}

Rowset columns_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"name", kName},
                                {"column_id", kInt, false},
                                {"system_type_id", kTiny, false},
                                {"user_type_id", kInt, false},
                                {"max_length", kSmall, false},
                                {"precision", kTiny, false},
                                {"scale", kTiny, false},
                                {"collation_name", kName},
                                {"is_nullable", kBit},
                                {"is_ansi_padded", kBit, false},
                                {"is_rowguidcol", kBit, false},
                                {"is_identity", kBit, false},
                                {"is_computed", kBit, false},
                                {"is_filestream", kBit, false},
                                {"is_sparse", kBit},
                                {"is_column_set", kBit},
                                {"default_object_id", kInt, false},
                                {"is_hidden", kBit},
                                {"generated_always_type", kTiny},
                                {"encryption_type", kInt},
                                {"is_masked", kBit}});
  for (const auto& [id, table] : database.tables()) {
    for (const Column& column : table->shape->columns) {
      const CatalogType& type = catalog_type_of(column.type);
      const bool text = column.type.is_text() && column.type.kind != TypeKind::kXml;
      add_row(rowset, {number(id),
                       text_value(column.name),
                       number(column.id),
                       number(type.system_type_id),
                       number(type.user_type_id),
                       number(column.type.max_length()),
                       number(column.type.catalog_precision()),
                       number(column.type.catalog_scale()),
                       text ? text_value(collation_name(column.type)) : Value(Null{}),
                       number(column.nullable),
                       number(1),
                       number(0),
                       number(column.identity),
                       number(column.computed != nullptr),
                       number(0),
                       number(0),
                       number(0),
                       number(column.default_value ? 1 : 0),
                       number(0),
                       number(0),
                       Null{},
                       number(0)});
    }
  }
  return rowset;
}

Rowset types_view() {
  Rowset rowset = empty_rowset({{"name", kName, false},
                                {"system_type_id", kTiny, false},
                                {"user_type_id", kInt, false},
                                {"schema_id", kInt, false},
                                {"max_length", kSmall, false},
                                {"precision", kTiny, false},
                                {"scale", kTiny, false},
                                {"is_nullable", kBit},
                                {"is_user_defined", kBit, false},
                                {"is_assembly_type", kBit, false}});
  for (const CatalogType& type : catalog_types()) {
    SqlType largest = type_of(type.kind);
    if (type.kind == TypeKind::kDecimal || type.kind == TypeKind::kNumeric) {
      largest = decimal_type(38, 38);
    } else if (largest.length == 1) {
      largest.length = largest.is_unicode() ? 4000 : 8000;
    }
    add_row(rowset,
            {text_value(type.name), number(type.system_type_id), number(type.user_type_id),
             number(4), number(largest.max_length()), number(largest.catalog_precision()),
             number(largest.catalog_scale()), number(1), number(0), number(largest.is_udt())});
  }
  add_row(rowset, {text_value("sysname"), number(231), number(256), number(4), number(256),
                   number(0), number(0), number(0), number(0), number(0)});
  return rowset;
}

Rowset indexes_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"name", kName},
                                {"index_id", kInt, false},
                                {"type", kTiny, false},
                                {"type_desc", text_type(60, true)},
                                {"is_unique", kBit},
                                {"is_primary_key", kBit},
                                {"is_unique_constraint", kBit},
                                {"is_disabled", kBit},
                                {"has_filter", kBit},
                                {"filter_definition", text_type(kMaxLength, true)}});
  for (const auto& [id, table] : database.tables()) {
    if (table->primary_key() == nullptr) {
      add_row(rowset, {number(id), Null{}, number(0), number(0), text_value("HEAP"), number(0),
                       number(0), number(0), number(0), number(0), Null{}});
    }
    for (const Key& key : table->keys()) {
      add_row(rowset,
              {number(id), text_value(key.name), number(key.index_id), number(key.primary ? 1 : 2),
               text_value(key.primary ? "CLUSTERED" : "NONCLUSTERED"), number(key.unique),
               number(key.primary), number(key.constraint && !key.primary), number(0), number(0),
               Null{}});
    }
  }
  return rowset;
}

Rowset index_columns_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"index_id", kInt, false},
                                {"index_column_id", kInt, false},
                                {"column_id", kInt, false},
                                {"key_ordinal", kTiny, false},
                                {"partition_ordinal", kTiny, false},
                                {"is_descending_key", kBit},
                                {"is_included_column", kBit}});
  for (const auto& [id, table] : database.tables()) {
    for (const Key& key : table->keys()) {
      std::int64_t ordinal = 0;
      for (const int column : key.column_ids) {
        ++ordinal;
        add_row(rowset, {number(id), number(key.index_id), number(ordinal), number(column),
                         number(ordinal), number(0), number(0), number(0)});
      }
    }
  }
  return rowset;
}

Rowset key_constraints_view(Database& database) {
  Rowset rowset = empty_rowset({{"name", kName, false},
                                {"object_id", kInt, false},
                                {"parent_object_id", kInt, false},
                                {"type", text_type(2, false)},
                                {"unique_index_id", kInt}});
  for (const auto& [id, table] : database.tables()) {
    for (const Key& key : table->keys()) {
      if (key.constraint) {
        add_row(rowset, {text_value(key.name), number(id + key.index_id), number(id),
                         text_value(key.primary ? "PK" : "UQ"), number(key.index_id)});
      }
    }
  }
  return rowset;
}

Rowset foreign_keys_view(Database& database) {
  Rowset rowset = empty_rowset({{"name", kName, false},
                                {"object_id", kInt, false},
                                {"parent_object_id", kInt, false},
                                {"referenced_object_id", kInt, false},
                                {"delete_referential_action", kTiny}});
  for (const auto& [id, table] : database.tables()) {
    int at = 8;
    for (const ForeignKey& key : table->foreign_keys) {
      add_row(rowset, {text_value(key.name), number(id + at++), number(id), number(key.parent_id),
                       number(key.cascade ? 1 : 0)});
    }
  }
  return rowset;
}

Rowset foreign_key_columns_view(Database& database) {
  Rowset rowset = empty_rowset({{"constraint_object_id", kInt, false},
                                {"constraint_column_id", kInt, false},
                                {"parent_object_id", kInt, false},
                                {"parent_column_id", kInt, false},
                                {"referenced_object_id", kInt, false},
                                {"referenced_column_id", kInt, false}});
  for (const auto& [id, table] : database.tables()) {
    int at = 8;
    for (const ForeignKey& key : table->foreign_keys) {
      for (std::size_t column = 0; column < key.column_ids.size(); ++column) {
        add_row(rowset, {number(id + at), number(static_cast<std::int64_t>(column) + 1), number(id),
                         number(key.column_ids[column]), number(key.parent_id),
                         number(key.parent_column_ids[column])});
      }
      ++at;
    }
  }
  return rowset;
}

Rowset partitions_view(Context& context, Database& database) {
  Rowset rowset = empty_rowset({{"partition_id", kBig, false},
                                {"object_id", kInt, false},
                                {"index_id", kInt, false},
                                {"partition_number", kInt, false},
                                {"rows", kBig},
                                {"row_count", kBig},
                                {"used_page_count", kBig}});
  const ReadView view{context.engine().last_commit(), 0, false, false};
  for (const auto& [id, table] : database.tables()) {
    std::int64_t rows = 0;
    for (std::size_t slot = 0; slot < table->slots(); ++slot) {
      rows += table->visible(slot, view) ? 1 : 0;
    }
    add_row(rowset, {number(id), number(id), number(table->primary_key() == nullptr ? 0 : 1),
                     number(1), number(rows), number(rows), number(rows / 50 + 1)});
  }
  return rowset;
}

}  // namespace

Rowset empty_rowset(std::initializer_list<RowsetColumn> columns) {
  return {columns, {}};
}

void add_row(Rowset& rowset, Row row) {
  rowset.rows.push_back(std::make_shared<const Row>(std::move(row)));
}

std::optional<Rowset> object_view(Context& context, Database& database, const std::string& name) {
  if (name == "databases") {
    return databases_view(context);
  }
  if (name == "schemas") {
    return schemas_view(database);
  }
  if (name == "tables" || name == "objects" || name == "all_objects") {
    return tables_view(database, name != "tables");
  }
  if (name == "columns" || name == "all_columns") {
    return columns_view(database);
  }
  if (name == "types") {
    return types_view();
  }
  if (name == "indexes") {
    return indexes_view(database);
  }
  if (name == "index_columns") {
    return index_columns_view(database);
  }
  if (name == "key_constraints") {
    return key_constraints_view(database);
  }
  if (name == "foreign_keys") {
    return foreign_keys_view(database);
  }
  if (name == "foreign_key_columns") {
    return foreign_key_columns_view(database);
  }
  if (name == "partitions" || name == "dm_db_partition_stats") {
    return partitions_view(context, database);
  }
  return std::nullopt;
}

std::optional<Rowset> catalog_view(Context& context, Database& database, const std::string& schema,
                                   const std::string& name) {
  const std::string view = lower(name);
  if (same_name(schema, "sys")) {
    auto rowset = object_view(context, database, view);
    return rowset ? rowset : server_view(context, database, view);
  }
  if (same_name(schema, "information_schema")) {
    return information_view(context, database, view);
  }
  // Azure SQL Database has neither an Agent nor msdb.
  const bool jobs = same_name(database.name, "msdb") &&
                    context.engine().traits.engine_edition != 5 &&
                    (view == "cdc_jobs" || view == "sysjobactivity" || view == "syssessions");
  return same_name(schema, "cdc") || jobs ? cdc_view(context, database, view) : std::nullopt;
}

}  // namespace headgate::test::sqlserver
