#include <algorithm>

#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/row_maker.hpp"
#include "support/sqlserver_double/session.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

Column column_of(const ColumnDef& definition, Table& table) {
  Column column;
  column.id = table.next_column_id++;
  column.name = definition.name;
  column.type = definition.type;
  column.nullable = definition.nullable && !definition.primary_key;
  column.identity = definition.identity;
  column.identity_step = definition.identity_step;
  column.default_value = definition.default_value;
  column.computed = definition.computed;
  column.persisted = definition.persisted;
  if (definition.identity) {
    table.identity_last = definition.identity_seed;
  }
  if (definition.type.kind == TypeKind::kRowVersion) {
    column.nullable = false;
  }
  return column;
}

// The type of a computed column is that of its expression.
void type_computed_columns(Context& context, TableShape& shape, const std::string& table) {
  Scope scope;
  Source source;
  source.name = {table};
  for (const Column& column : shape.columns) {
    source.columns.push_back({column.name, column.type, true});
  }
  scope.sources.push_back(std::move(source));
  for (Column& column : shape.columns) {
    if (column.computed) {
      column.type = Binder(context, scope).bind(*column.computed).type;
    }
  }
}

std::vector<int> column_ids(const Table& table, const std::vector<std::string>& names) {
  std::vector<int> ids;
  for (const std::string& name : names) {
    const auto place = table.shape->place_of(name);
    if (!place) {
      throw SqlError(1911,
                     "Column name '" + name + "' does not exist in the target table or view.");
    }
    ids.push_back(table.shape->columns[*place].id);
  }
  return ids;
}

std::string key_name(const std::string& prefix, const Table& table, int number) {
  return prefix + "__" + table.name + "__" + std::to_string(table.object_id + number);
}

void add_foreign_key(Database& database, Table& table, const std::string& name,
                     const std::vector<std::string>& columns, const Name& references,
                     const std::vector<std::string>& referenced, bool cascade) {
  const std::string schema = references.size() > 1 ? references[references.size() - 2] : "dbo";
  const TablePtr parent =
      same_name(references.back(), table.name) && same_name(schema, table.schema)
          ? database.table(table.object_id)
          : database.table(schema, references.back());
  if (!parent) {
    throw SqlError(
        1767, "Foreign key '" + name + "' references invalid table '" + references.back() + "'.");
  }
  ForeignKey key;
  key.name =
      name.empty() ? key_name("FK", table, static_cast<int>(table.foreign_keys.size())) : name;
  key.column_ids = column_ids(table, columns);
  key.parent_id = parent->object_id;
  key.cascade = cascade;
  if (referenced.empty() && parent->primary_key() != nullptr) {
    key.parent_column_ids = parent->primary_key()->column_ids;
  } else {
    key.parent_column_ids = column_ids(*parent, referenced);
  }
  if (key.parent_column_ids.size() != key.column_ids.size()) {
    throw SqlError(
        8139,
        "Number of referencing columns in foreign key differs from number of referenced columns.");
  }
  table.foreign_keys.push_back(std::move(key));
}

void set_nullable(Table& table, const std::vector<int>& ids, bool nullable) {
  auto shape = std::make_shared<TableShape>(*table.shape);
  for (const int id : ids) {
    shape->columns[shape->place_of_id(id).value()].nullable = nullable;
  }
  table.shape = shape;
}

void add_constraint(Database& database, Table& table, const ConstraintDef& constraint) {
  switch (constraint.kind) {
    case ConstraintDef::Kind::kPrimaryKey:
    case ConstraintDef::Kind::kUnique: {
      Key key;
      key.primary = constraint.kind == ConstraintDef::Kind::kPrimaryKey;
      key.column_ids = column_ids(table, constraint.columns);
      key.name = constraint.name.empty() ? key_name(key.primary ? "PK" : "UQ", table,
                                                    static_cast<int>(table.keys().size()))
                                         : constraint.name;
      if (key.primary) {
        set_nullable(table, key.column_ids, false);
      }
      table.add_key(std::move(key));
      break;
    }
    case ConstraintDef::Kind::kForeignKey:
      add_foreign_key(database, table, constraint.name, constraint.columns, constraint.references,
                      constraint.referenced_columns, constraint.cascade);
      break;
    case ConstraintDef::Kind::kCheck:
      table.checks.push_back(constraint.expr);
      break;
    case ConstraintDef::Kind::kDefault: {
      auto shape = std::make_shared<TableShape>(*table.shape);
      const auto place = shape->place_of(constraint.columns[0]);
      if (!place) {
        throw invalid_column(constraint.columns[0]);
      }
      shape->columns[*place].default_value = constraint.expr;
      table.shape = shape;
      break;
    }
  }
}

void add_column_constraints(Database& database, Table& table, const ColumnDef& definition) {
  if (definition.primary_key || definition.unique) {
    ConstraintDef constraint;
    constraint.kind =
        definition.primary_key ? ConstraintDef::Kind::kPrimaryKey : ConstraintDef::Kind::kUnique;
    constraint.columns = {definition.name};
    add_constraint(database, table, constraint);
  }
  if (!definition.references.empty()) {
    add_foreign_key(database, table, "", {definition.name}, definition.references,
                    definition.referenced_columns, definition.cascade);
  }
  if (definition.check) {
    table.checks.push_back(definition.check);
  }
}

// DDL waits for everybody else's writes, as it waits for their locks on a server.
void wait_for_writers(const Table& table, TransactionId own) {
  for (const auto& [writer, count] : table.writers) {
    if (writer != own) {
      throw LockedBy{writer};
    }
  }
}

}  // namespace

void Session::create_table(const CreateTableStatement& create) {
  const std::string& name = create.table.back();
  const bool temporary = name.starts_with("#") || name.starts_with("@");
  with_locks(true, [&] {
    Engine& engine = state_.engine;
    const ObjectName resolved = resolve(state_, temporary ? Name{name} : create.table);
    TablePtr table;
    if (temporary) {
      table = std::make_shared<Table>();
      table->object_id = -resolved.database->next_object_id();
      table->schema = "dbo";
      table->name = name;
      if (!state_.table_variables.emplace(lower(name), table).second) {
        throw SqlError(2714, "There is already an object named '" + name + "' in the database.");
      }
    } else {
      table = resolved.database->add_table(resolved.schema, resolved.object, engine.local_now());
      transaction().undo_ddl.push_back(
          [database = resolved.database, id = table->object_id] { database->remove_table(id); });
    }
    auto shape = std::make_shared<TableShape>();
    for (const ColumnDef& definition : create.columns) {
      if (shape->place_of(definition.name)) {
        throw SqlError(2705, "Column names in each table must be unique. Column name '" +
                                 definition.name + "' in table '" + name +
                                 "' is specified more than once.");
      }
      shape->columns.push_back(column_of(definition, *table));
    }
    Context context{state_, read_view(true)};
    type_computed_columns(context, *shape, name);
    table->shape = shape;
    for (const ColumnDef& definition : create.columns) {
      add_column_constraints(*resolved.database, *table, definition);
    }
    for (const ConstraintDef& constraint : create.constraints) {
      add_constraint(*resolved.database, *table, constraint);
    }
  });
  if (!name.starts_with("@")) {
    sink_->done(std::nullopt);
  }
}

void Session::alter_table(const AlterTableStatement& alter, const std::string& text) {
  with_locks(true, [&] {
    const TablePtr table = find_table(state_, alter.table);
    if (!table) {
      throw SqlError(4902, "Cannot find the object \"" + alter.table.back() +
                               "\" because it does not exist or you do not have permissions.");
    }
    Database& database = *resolve(state_, alter.table).database;
    wait_for_writers(*table, transaction().id);
    transaction().undo_ddl.push_back(
        [table, saved = std::make_shared<Table>(*table)] { *table = *saved; });
    table->modify_date = state_.engine.local_now();
    LogDdl record;
    record.object_id = table->object_id;
    record.command = text;
    record.time = state_.engine.local_now();

    Context context{state_, read_view(true)};
    for (const ColumnDef& definition : alter.add_columns) {
      auto shape = std::make_shared<TableShape>(*table->shape);
      if (shape->place_of(definition.name)) {
        throw SqlError(2705, "Column names in each table must be unique. Column name '" +
                                 definition.name + "' in table '" + table->name +
                                 "' is specified more than once.");
      }
      shape->columns.push_back(column_of(definition, *table));
      type_computed_columns(context, *shape, table->name);
      const Column& column = shape->columns.back();
      Value value = Null{};
      const Scope scope;
      // A nullable column gets its default in new rows only.
      if (column.default_value && !column.nullable) {
        const Bound bound = Binder(context, scope).bind(*column.default_value);
        value = converted_for_storage(bound.eval({}), bound.type, column.type, column.name);
      }
      if (!column.nullable && is_null(value) && !column.identity &&
          column.type.kind != TypeKind::kRowVersion && table->slots() > 0) {
        throw SqlError(
            4901,
            "ALTER TABLE only allows columns to be added that can contain nulls, or have a "
            "DEFAULT definition specified: column '" +
                column.name + "'.");
      }
      table->reshape(shape, [&](Row row) {
        row.push_back(column.type.kind == TypeKind::kRowVersion
                          ? Value(state_.engine.next_rowversion())
                      : column.identity
                          ? convert(table->identity_last++, type_of(TypeKind::kBigInt), column.type)
                          : value);
        return row;
      });
      add_column_constraints(database, *table, definition);
    }
    for (const ConstraintDef& constraint : alter.add_constraints) {
      add_constraint(database, *table, constraint);
    }
    for (const std::string& name : alter.drop_columns) {
      const auto place = table->shape->place_of(name);
      if (!place) {
        throw SqlError(4924, "ALTER TABLE DROP COLUMN failed because column '" + name +
                                 "' does not exist in table '" + table->name + "'.");
      }
      const int id = table->shape->columns[*place].id;
      for (const Key& key : table->keys()) {
        if (std::find(key.column_ids.begin(), key.column_ids.end(), id) != key.column_ids.end()) {
          throw SqlError(5074,
                         "The object '" + key.name + "' is dependent on column '" + name + "'.");
        }
      }
      auto shape = std::make_shared<TableShape>(*table->shape);
      const auto offset = static_cast<std::ptrdiff_t>(*place);
      shape->columns.erase(shape->columns.begin() + offset);
      table->reshape(shape, [offset](Row row) {
        row.erase(row.begin() + offset);
        return row;
      });
    }
    for (const std::string& name : alter.drop_constraints) {
      for (const CaptureInstance* instance : database.instances_of(table->object_id)) {
        if (same_name(instance->index_name, name)) {
          throw SqlError(3723, "An explicit DROP INDEX is not allowed on index '" + table->name +
                                   "." + name + "'. It is being used for Change Data Capture.");
        }
      }
      table->drop_key(name);
      std::erase_if(table->foreign_keys,
                    [&](const ForeignKey& key) { return same_name(key.name, name); });
    }
    if (alter.alter_column) {
      const auto place = table->shape->place_of(alter.alter_column->name);
      if (!place) {
        throw SqlError(4924, "ALTER TABLE ALTER COLUMN failed because column '" +
                                 alter.alter_column->name + "' does not exist in table '" +
                                 table->name + "'.");
      }
      auto shape = std::make_shared<TableShape>(*table->shape);
      Column& column = shape->columns[*place];
      const SqlType old = column.type;
      column.type = alter.alter_column->type;
      column.nullable = alter.alter_column->nullable;
      record.type_changed = old != column.type;
      record.column_id = column.id;
      record.new_type = column.type;
      table->reshape(shape, [&](Row row) {
        row[*place] = converted_for_storage(row[*place], old, column.type, column.name);
        return row;
      });
    }
    LoggedTransaction& logged = state_.engine.logged(transaction(), database);
    record.lsn = database.log.next_record();
    if (table->tracked_by_cdc) {
      logged.ddl.push_back(std::move(record));
    }
  });
  sink_->done(std::nullopt);
}

void Session::create_index(const CreateIndexStatement& create) {
  with_locks(true, [&] {
    const TablePtr table = find_table(state_, create.table);
    if (!table) {
      throw SqlError(1088, "Cannot find the object \"" + create.table.back() +
                               "\" because it does not exist or you do not have permissions.");
    }
    wait_for_writers(*table, transaction().id);
    Key key;
    key.name = create.name;
    key.unique = create.unique;
    key.constraint = false;
    key.column_ids = column_ids(*table, create.columns);
    table->add_key(std::move(key));
  });
  sink_->done(std::nullopt);
}

void Session::drop(const DropStatement& drop) {
  with_locks(true, [&] {
    for (const Name& name : drop.names) {
      if (drop.what == "index") {
        const TablePtr table =
            find_table(state_, drop.on.empty() ? Name(name.begin(), name.end() - 1) : drop.on);
        if (table) {
          table->drop_key(name.back());
        }
        continue;
      }
      if (drop.what == "database") {
        if (state_.engine.databases.erase(lower(name.back())) == 0 && !drop.if_exists) {
          throw SqlError(3701,
                         "Cannot drop the database '" + name.back() +
                             "', because it does not exist or you do not have permission.",
                         11, 1);
        }
        continue;
      }
      if (drop.what == "login" || drop.what == "user") {
        if (drop.what == "login") {
          state_.engine.logins.erase(lower(name.back()));
        }
        continue;
      }
      if (drop.what == "sequence") {
        const ObjectName resolved = resolve(state_, name);
        resolved.database->sequences.erase(lower(resolved.schema) + "." + lower(resolved.object));
        continue;
      }
      if (drop.what == "schema") {
        state_.current_database().schemas.erase(lower(name.back()));
        continue;
      }
      if (state_.table_variables.erase(lower(name.back())) != 0) {
        continue;
      }
      const TablePtr table = find_table(state_, name);
      if (!table) {
        if (drop.if_exists) {
          continue;
        }
        throw SqlError(3701,
                       "Cannot drop the table '" + name.back() +
                           "', because it does not exist or you do not have permission.",
                       11, 5);
      }
      Database& database = *resolve(state_, name).database;
      wait_for_writers(*table, transaction().id);
      for (const auto& [id, other] : database.tables()) {
        for (const ForeignKey& key : other->foreign_keys) {
          if (key.parent_id == table->object_id && id != table->object_id) {
            throw SqlError(3726, "Could not drop object '" + name.back() +
                                     "' because it is referenced by a FOREIGN KEY constraint.");
          }
        }
      }
      drop_instances_of(database, table->object_id);
      database.remove_table(table->object_id);
    }
  });
  sink_->done(std::nullopt);
}

void Session::create(const CreateStatement& create) {
  {
    std::lock_guard lock(state_.engine.mutex);
    Engine& engine = state_.engine;
    if (create.what == "database") {
      engine.create_database(create.name);
    } else if (create.what == "schema") {
      auto& schemas = state_.current_database().schemas;
      if (!schemas.emplace(lower(create.name), 5 + static_cast<int>(schemas.size())).second) {
        throw SqlError(2714,
                       "There is already an object named '" + create.name + "' in the database.");
      }
    } else if (create.what == "login") {
      if (!engine.logins.emplace(lower(create.name), Login{create.name, create.option, false, {}})
               .second) {
        throw SqlError(15025, "The server principal '" + create.name + "' already exists.");
      }
    } else if (create.what == "role") {
      // A role is a word in the permissions of its members.
    } else if (create.what == "user") {
      // Users and logins are one here, by the login's name.
      if (!engine.logins.contains(lower(create.option.empty() ? create.name : create.option))) {
        throw SqlError(
            15007, "'" + create.option + "' is not a valid login or you do not have permission.");
      }
    }
  }
  sink_->done(std::nullopt);
}

void Session::create_sequence(const CreateSequenceStatement& create) {
  {
    std::lock_guard lock(state_.engine.mutex);
    const ObjectName name = resolve(state_, create.name);
    if (!name.database->sequences
             .emplace(lower(name.schema) + "." + lower(name.object),
                      Database::Sequence{create.type, create.start, create.step})
             .second) {
      throw SqlError(2714,
                     "There is already an object named '" + name.object + "' in the database.");
    }
  }
  sink_->done(std::nullopt);
}

void Session::alter_database(const AlterDatabaseStatement& alter) {
  {
    std::lock_guard lock(state_.engine.mutex);
    Database* database = alter.database.empty() ? &state_.current_database()
                                                : state_.engine.database(alter.database);
    if (database == nullptr) {
      throw SqlError(
          5011,
          "User does not have permission to alter database '" + alter.database +
              "', the database does not exist, or the database is not in a state that allows "
              "access checks.",
          14);
    }
    const bool on = alter.value == "on";
    if (alter.option == "allow_snapshot_isolation") {
      database->snapshot_isolation = on;
    } else if (alter.option == "read_committed_snapshot") {
      database->read_committed_snapshot = on;
    } else if (alter.option != "recovery" && alter.option != "auto_close" &&
               alter.option != "multi_user" && alter.option != "single_user") {
      throw syntax_error("ALTER DATABASE SET " + alter.option);
    }
  }
  sink_->done(std::nullopt);
}

void Session::grant(const GrantStatement& grant) {
  {
    std::lock_guard lock(state_.engine.mutex);
    std::string suffix;
    if (grant.scope == "schema") {
      suffix = ":schema." + lower(grant.on.back());
    } else if (grant.scope == "object") {
      suffix = ":" + (grant.on.size() > 1 ? lower(grant.on[grant.on.size() - 2]) : "dbo") + "." +
               lower(grant.on.back());
    }
    if (!state_.is_sysadmin() && !state_.has_role("db_owner")) {
      throw SqlError(4613, "Grantor does not have GRANT permission.");
    }
    for (const std::string& name : grant.to) {
      const auto login = state_.engine.logins.find(lower(name));
      if (login == state_.engine.logins.end()) {
        throw SqlError(15151, "Cannot find the user '" + name +
                                  "', because it does not exist or you do not have permission.");
      }
      for (const std::string& permission : grant.permissions) {
        if (grant.grant) {
          login->second.permissions.insert(permission + suffix);
        } else {
          login->second.permissions.erase(permission + suffix);
        }
      }
    }
  }
  sink_->done(std::nullopt);
}

void Session::use(const UseStatement& use) {
  std::string from;
  {
    std::lock_guard lock(state_.engine.mutex);
    const Database* database = state_.engine.database(use.database);
    if (database == nullptr) {
      throw SqlError(911, "Database '" + use.database +
                              "' does not exist. Make sure that the name is entered correctly.");
    }
    from = state_.database;
    state_.database = database->name;
  }
  sink_->database_changed(from, state_.database);
  sink_->done(std::nullopt);
}

}  // namespace headgate::test::sqlserver
