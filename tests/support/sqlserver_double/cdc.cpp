#include "support/sqlserver_double/cdc.hpp"

#include <algorithm>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

Column plain_column(int id, std::string name, SqlType type, bool nullable) {
  Column column;
  column.id = id;
  column.name = std::move(name);
  column.type = type;
  column.nullable = nullable;
  return column;
}

TablePtr make_time_mapping(Engine& engine, Database& database) {
  TablePtr table = database.add_table("cdc", "lsn_time_mapping", engine.local_now());
  auto shape = std::make_shared<TableShape>();
  const SqlType datetime = type_of(TypeKind::kDateTime);
  shape->columns = {plain_column(1, "start_lsn", binary_type(10, true), false),
                    plain_column(2, "tran_begin_time", datetime, true),
                    plain_column(3, "tran_end_time", datetime, true),
                    plain_column(4, "tran_id", binary_type(10), true),
                    plain_column(5, "tran_begin_lsn", binary_type(10, true), true)};
  table->shape = shape;
  table->append_ordered = true;
  table->shipped = true;
  return table;
}

// rowversion columns are plain bytes in a change table, and text has the database's order.
SqlType captured_type(SqlType type) {
  type.text_order = TextOrder::kDatabase;
  return type.kind == TypeKind::kRowVersion ? binary_type(8, true) : type;
}

ShapePtr change_table_shape(const CaptureInstance& instance) {
  auto shape = std::make_shared<TableShape>();
  auto& columns = shape->columns;
  const auto add = [&columns](const std::string& name, SqlType type, bool nullable) {
    columns.push_back(plain_column(static_cast<int>(columns.size()) + 1, name, type, nullable));
  };
  add("__$start_lsn", binary_type(10, true), false);
  add("__$end_lsn", binary_type(10, true), true);
  add("__$seqval", binary_type(10, true), false);
  add("__$operation", type_of(TypeKind::kInt), false);
  add("__$update_mask", binary_type(128), true);
  for (const CapturedColumn& column : instance.columns) {
    add(column.name, column.type, true);
  }
  if (instance.has_command_id) {
    add("__$command_id", type_of(TypeKind::kInt), true);
  }
  return shape;
}

// Writes the rows of one transaction into the change tables.
class TransactionCapture {
 public:
  TransactionCapture(Engine& engine, Database& database, const LoggedTransaction& logged,
                     Transaction& into)
      : engine_(engine), database_(database), logged_(logged), into_(into) {}

  void run() {
    for (const LogDdl& ddl : logged_.ddl) {
      apply_ddl(ddl);
    }
    for (std::size_t at = 0; at < logged_.changes.size();) {
      at = capture_statement(at);
    }
    if (wrote_ || logged_.enables_capture) {
      add_mapping_row(wrote_ ? logged_.id : std::string(1, '\0'));
    }
  }

 private:
  // The changes of one statement from `begin` on; returns where the next one's begin.
  std::size_t capture_statement(std::size_t begin) {
    const auto& changes = logged_.changes;
    std::size_t end = begin;
    bool key_changes = false;
    while (end < changes.size() && changes[end].statement == changes[begin].statement &&
           changes[end].object_id == changes[begin].object_id) {
      key_changes = key_changes || changes_key(changes[end]);
      ++end;
    }
    if (!key_changes || engine_.traits.key_updates == KeyUpdateShape::kUpdatePair) {
      for (std::size_t at = begin; at < end; ++at) {
        capture_change(changes[at]);
      }
      return end;
    }
    for (std::size_t at = begin; at < end; ++at) {
      LogChange removal = changes[at];
      removal.operation = LogOperation::kDelete;
      capture_change(removal);
    }
    for (std::size_t at = begin; at < end; ++at) {
      LogChange addition = changes[at];
      addition.operation = LogOperation::kInsert;
      capture_change(addition);
    }
    return end;
  }

  bool changes_key(const LogChange& change) const {
    const TablePtr table = database_.table(change.object_id);
    if (change.operation != LogOperation::kUpdate || !table) {
      return false;
    }
    for (const Key& key : table->keys()) {
      for (const int id : key.column_ids) {
        const auto place = change.shape->place_of_id(id);
        if (key.unique && place && !identical((*change.before)[*place], (*change.after)[*place])) {
          return true;
        }
      }
    }
    return false;
  }

  void capture_change(const LogChange& change) {
    ++command_id_;
    for (CaptureInstance* instance : database_.instances_of(change.object_id)) {
      if (logged_.commit_lsn <= instance->start_lsn) {
        continue;
      }
      wrote_ = true;
      switch (change.operation) {
        case LogOperation::kDelete:
          write(*instance, change, 1, full_mask(*instance), *change.before);
          break;
        case LogOperation::kInsert:
          write(*instance, change, 2, full_mask(*instance), *change.after);
          break;
        case LogOperation::kUpdate: {
          const std::string mask = update_mask(*instance, change);
          write(*instance, change, 3, mask, *change.before);
          write(*instance, change, 4, mask, *change.after);
          break;
        }
      }
    }
  }

  static std::string empty_mask(const CaptureInstance& instance) {
    return std::string((instance.columns.size() + 7) / 8, '\0');
  }

  static void set_bit(std::string& mask, int ordinal) {
    const auto bit = static_cast<std::size_t>(ordinal - 1);
    char& byte = mask[mask.size() - 1 - bit / 8];
    byte = static_cast<char>(static_cast<unsigned char>(byte) | (1u << (bit % 8)));
  }

  static std::string full_mask(const CaptureInstance& instance) {
    std::string mask = empty_mask(instance);
    for (const CapturedColumn& column : instance.columns) {
      set_bit(mask, column.ordinal);
    }
    return mask;
  }

  static std::string update_mask(const CaptureInstance& instance, const LogChange& change) {
    std::string mask = empty_mask(instance);
    for (const CapturedColumn& column : instance.columns) {
      const auto place = change.shape->place_of_id(column.column_id);
      if (place && !identical((*change.before)[*place], (*change.after)[*place])) {
        set_bit(mask, column.ordinal);
      }
    }
    return mask;
  }

  Value captured_value(const CapturedColumn& column, const LogChange& change, int operation,
                       const std::string& mask, const Row& image) const {
    const auto place = change.shape->place_of_id(column.column_id);
    if (!place || column.computed) {
      return Null{};  // dropped since, or never recorded
    }
    const SqlType& type = change.shape->columns[*place].type;
    const bool old_large = type.kind == TypeKind::kText || type.kind == TypeKind::kNText ||
                           type.kind == TypeKind::kImage;
    const bool unchanged = !mask_bit(mask, column.ordinal);
    if ((old_large && (operation == 1 || operation == 3)) ||
        (type.is_large() && unchanged &&
         (operation == 3 || (operation == 4 && !engine_.traits.unchanged_large_values_kept)))) {
      return Null{};
    }
    return image[*place];
  }

  void write(CaptureInstance& instance, const LogChange& change, int operation,
             const std::string& mask, const Row& image) {
    auto row = std::make_shared<Row>();
    row->reserve(instance.columns.size() + 6);
    row->emplace_back(logged_.commit_lsn);
    row->emplace_back(Null{});
    row->emplace_back(change.lsn);
    row->emplace_back(std::int64_t{operation});
    row->emplace_back(mask);
    for (const CapturedColumn& column : instance.columns) {
      row->push_back(captured_value(column, change, operation, mask, image));
    }
    if (instance.has_command_id) {
      row->emplace_back(command_id_);
    }
    append(instance.table, std::move(row));
  }

  void append(const TablePtr& table, RowPtr row) {
    ++table->writers[into_.id];
    into_.writes.push_back({table, table->insert(std::move(row), into_.id), false});
  }

  void add_mapping_row(const std::string& tran_id) {
    append(database_.lsn_time_mapping,
           std::make_shared<const Row>(Row{logged_.commit_lsn, logged_.begin_time, logged_.end_time,
                                           tran_id, logged_.begin_lsn}));
  }

  // A changed type reaches the change table here, when the capture process does: not before.
  void apply_ddl(const LogDdl& ddl) {
    bool required = false;
    for (CaptureInstance* instance : database_.instances_of(ddl.object_id)) {
      for (CapturedColumn& column : instance->columns) {
        if (ddl.type_changed && column.column_id == ddl.column_id) {
          required = true;
          change_type(*instance, column, captured_type(ddl.new_type));
          instance->table->modify_date = engine_.local_now();
        }
      }
    }
    database_.ddl_history.push_back({ddl.object_id, required, ddl.command, ddl.lsn, ddl.time});
  }

  static void change_type(CaptureInstance& instance, CapturedColumn& column, const SqlType& type);

  Engine& engine_;
  Database& database_;
  const LoggedTransaction& logged_;
  Transaction& into_;
  std::int64_t command_id_ = 0;
  bool wrote_ = false;
};

void TransactionCapture::change_type(CaptureInstance& instance, CapturedColumn& column,
                                     const SqlType& type) {
  const SqlType old = column.type;
  column.type = type;
  const std::size_t place = instance.table->shape->place_of(column.name).value();
  instance.table->reshape(change_table_shape(instance), [&](Row row) {
    row[place] = convert(row[place], old, type);
    return row;
  });
}

CaptureInstance& instance_or_throw(Database& database, const std::string& name) {
  CaptureInstance* instance = database.instance(name);
  if (instance == nullptr) {
    throw SqlError(22981,
                   "Object does not exist or access is denied: capture instance '" + name + "'.");
  }
  return *instance;
}

void require_cdc(const Database& database) {
  if (!database.cdc_enabled) {
    throw SqlError(22901,
                   "The database '" + database.name +
                       "' is not enabled for Change Data Capture. Ensure that the correct database "
                       "context is set and retry the operation.");
  }
}

std::vector<CapturedColumn> captured_columns(const Table& table,
                                             const std::vector<std::string>& names) {
  std::vector<CapturedColumn> columns;
  for (const Column& column : table.shape->columns) {
    const bool wanted = names.empty() ||
                        std::any_of(names.begin(), names.end(),
                                    [&](const auto& name) { return same_name(name, column.name); });
    if (wanted) {
      columns.push_back({column.id, column.name, captured_type(column.type),
                         static_cast<int>(columns.size()) + 1, column.computed != nullptr});
    }
  }
  for (const std::string& name : names) {
    if (!table.shape->place_of(name)) {
      throw SqlError(22943,
                     "Columns specified in the captured column list could not be mapped to columns "
                     "in source table '" +
                         table.schema + "." + table.name + "'.");
    }
  }
  return columns;
}

void choose_index(CaptureInstance& instance, const Table& table, const std::string& wanted) {
  const Key* key = table.primary_key();
  for (const Key& candidate : table.keys()) {
    if (!wanted.empty() && same_name(candidate.name, wanted)) {
      key = &candidate;
    }
  }
  if (key == nullptr) {
    return;
  }
  instance.index_name = key->name;
  for (const std::size_t place : table.places_of(key->column_ids)) {
    instance.index_columns.push_back(table.shape->columns[place].name);
  }
}

void mark_established(Database& database) {
  for (CaptureInstance& instance : database.instances) {
    instance.established = instance.established || database.captured_upto >= instance.start_lsn;
  }
}

void remove_instance(Database& database, const std::string& name) {
  const auto found =
      std::find_if(database.instances.begin(), database.instances.end(),
                   [&](const auto& instance) { return same_name(instance.name, name); });
  const int source = found->source_object_id;
  database.remove_table(found->object_id);
  database.instances.erase(found);
  if (database.instances_of(source).empty()) {
    if (const TablePtr table = database.table(source)) {
      table->tracked_by_cdc = false;
    }
  }
}

void delete_rows_below(Engine& engine, const TablePtr& table, const Lsn& mark) {
  Transaction& transaction = engine.begin();
  for (const std::size_t slot : table->candidates(ColumnRange{0, std::nullopt, Value(mark)})) {
    const Table::Version& version = table->version(slot);
    if (version.end.is_never() && !version.begin.is_pending() &&
        bytes_of((*version.row)[0]) < mark) {
      table->end(slot, transaction.id);
      transaction.writes.push_back({table, slot, true});
    }
  }
  engine.commit(transaction);
}

}  // namespace

bool mask_bit(const std::string& mask, int ordinal) {
  const auto bit = static_cast<std::size_t>(ordinal - 1);
  return ordinal >= 1 && bit / 8 < mask.size() &&
         ((static_cast<unsigned char>(mask[mask.size() - 1 - bit / 8]) >> (bit % 8)) & 1u) != 0;
}

void enable_database(Engine& engine, Database& database) {
  if (database.cdc_enabled) {
    return;
  }
  database.schemas.emplace("cdc", 5 + static_cast<int>(database.schemas.size()));
  database.cdc_enabled = true;
  database.captured_upto.clear();
  database.lsn_time_mapping = make_time_mapping(engine, database);
}

void disable_database(Engine& engine, Database& database) {
  static_cast<void>(engine);
  require_cdc(database);
  while (!database.instances.empty()) {
    remove_instance(database, database.instances.front().name);
  }
  database.remove_table(database.lsn_time_mapping->object_id);
  database.lsn_time_mapping = nullptr;
  database.schemas.erase("cdc");
  database.ddl_history.clear();
  database.uncaptured.clear();
  database.captured_upto.clear();
  database.cdc_enabled = false;
}

void enable_table(Engine& engine, Database& database, const EnableTableArguments& arguments) {
  require_cdc(database);
  const TablePtr source = database.table(arguments.schema, arguments.table);
  if (!source) {
    throw SqlError(22931, "Source table '" + arguments.schema + "." + arguments.table +
                              "' does not exist in the current database.");
  }
  if (database.instances_of(source->object_id).size() >= 2) {
    throw SqlError(22962, "Two capture instances already exist for source table '" +
                              arguments.schema + "." + arguments.table + "'.");
  }
  CaptureInstance instance;
  instance.name = arguments.capture_instance.empty() ? source->schema + "_" + source->name
                                                     : arguments.capture_instance;
  if (utf16_of_utf8(instance.name).size() > 100) {
    throw SqlError(22927, "The capture instance name '" + instance.name +
                              "' exceeds the length limit of "
                              "100 characters.");
  }
  if (database.instance(instance.name) != nullptr) {
    throw SqlError(22926,
                   "Could not create a capture instance because the capture instance name '" +
                       instance.name + "' already exists in the current database.");
  }
  if (arguments.supports_net_changes && source->primary_key() == nullptr &&
      arguments.index_name.empty()) {
    throw SqlError(22939,
                   "The parameter @supports_net_changes is set to 1, but the source table does not "
                   "have a primary key defined and no alternate unique index has been specified.");
  }
  instance.source_object_id = source->object_id;
  instance.columns = captured_columns(*source, arguments.columns);
  instance.role_name = arguments.role_name;
  instance.supports_net_changes = arguments.supports_net_changes;
  instance.has_command_id = engine.traits.command_id;
  instance.create_date = rounded(engine.local_now(), type_of(TypeKind::kDateTime));
  choose_index(instance, *source, arguments.index_name);
  instance.table = database.add_table("cdc", instance.name + "_CT", engine.local_now());
  instance.object_id = instance.table->object_id;
  instance.table->shape = change_table_shape(instance);
  instance.table->append_ordered = true;
  instance.table->shipped = true;
  source->tracked_by_cdc = true;

  Transaction& transaction = engine.begin();
  engine.logged(transaction, database).enables_capture = true;
  engine.commit(transaction);
  instance.start_lsn = database.log_end;
  database.instances.push_back(std::move(instance));
  for (Job* job : {&engine.capture_job, &engine.cleanup_job}) {
    job->running = job->exists ? job->running : engine.agent_running;
    job->exists = true;
  }
}

void disable_table(Engine& engine, Database& database, const std::string& schema,
                   const std::string& table, const std::string& capture_instance) {
  static_cast<void>(engine);
  require_cdc(database);
  const TablePtr source = database.table(schema, table);
  if (!source) {
    throw SqlError(22931, "Source table '" + schema + "." + table +
                              "' does not exist in the current database.");
  }
  if (same_name(capture_instance, "all")) {
    drop_instances_of(database, source->object_id);
    return;
  }
  const CaptureInstance* instance = database.instance(capture_instance);
  if (instance == nullptr || instance->source_object_id != source->object_id) {
    throw SqlError(22960, "Change data capture instance '" + capture_instance +
                              "' has not been enabled for the source table '" + schema + "." +
                              table + "'.");
  }
  remove_instance(database, capture_instance);
}

void drop_instances_of(Database& database, int source_object_id) {
  while (!database.instances_of(source_object_id).empty()) {
    remove_instance(database, database.instances_of(source_object_id).front()->name);
  }
}

Transaction& capture_uncommitted(Engine& engine, Database& database, std::size_t transactions_max) {
  require_cdc(database);
  Transaction& transaction = engine.begin();
  for (std::size_t read = 0; read < transactions_max && !database.uncaptured.empty(); ++read) {
    const LoggedTransaction logged = std::move(database.uncaptured.front());
    database.uncaptured.pop_front();
    TransactionCapture(engine, database, logged, transaction).run();
    database.captured_upto = logged.commit_lsn;
  }
  if (database.uncaptured.empty()) {
    database.captured_upto = database.log_end;
  }
  mark_established(database);
  return transaction;
}

void record_scan(const Engine& engine, Database& database, bool empty) {
  const Moment now = engine.local_now();
  LogScan scan{1, now, now, empty ? 1 : 0};
  if (const auto& last = database.last_scan) {
    const bool one_row = empty && last->empty_scans > 0;
    scan.session = one_row ? last->session : last->session + 1;
    scan.empty_scans += one_row ? last->empty_scans : 0;
    if (one_row && engine.traits.empty_scans_keep_first_start) {
      scan.began = last->began;
    }
  }
  database.last_scan = scan;
}

std::size_t capture(Engine& engine, Database& database, std::size_t transactions_max) {
  require_cdc(database);
  const std::size_t before = database.uncaptured.size();
  engine.commit(capture_uncommitted(engine, database, transactions_max));
  const std::size_t read = before - database.uncaptured.size();
  record_scan(engine, database, read == 0);
  return read;
}

void write_idle_row(Engine& engine, Database& database) {
  require_cdc(database);
  if (!database.uncaptured.empty()) {
    return;
  }
  database.log_end = database.log.next_commit();
  Transaction& transaction = engine.begin();
  const TablePtr& table = database.lsn_time_mapping;
  const Moment now = rounded(engine.local_now(), type_of(TypeKind::kDateTime));
  auto row = std::make_shared<const Row>(
      Row{database.log_end, now, now, std::string(1, '\0'), zero_lsn()});
  transaction.writes.push_back({table, table->insert(std::move(row), transaction.id), false});
  engine.commit(transaction);
  record_scan(engine, database, true);
}

void raise_low_water_mark(Database& database, const Lsn& mark, const std::string& only) {
  for (CaptureInstance& instance : database.instances) {
    if ((only.empty() || same_name(only, instance.name)) && instance.start_lsn < mark) {
      instance.start_lsn = mark;
    }
  }
}

void delete_below_low_water_mark(Engine& engine, Database& database) {
  Lsn least;
  for (const CaptureInstance& instance : database.instances) {
    delete_rows_below(engine, instance.table, instance.start_lsn);
    least = least.empty() ? instance.start_lsn : std::min(least, instance.start_lsn);
  }
  if (!least.empty()) {
    delete_rows_below(engine, database.lsn_time_mapping, least);
  }
}

std::optional<Lsn> low_water_mark(Engine& engine, const Database& database,
                                  std::int64_t retention_minutes) {
  const ReadView view{engine.last_commit(), 0, false, false};
  std::optional<Moment> last;
  std::optional<Lsn> mark;
  const Table& table = *database.lsn_time_mapping;
  for (std::size_t slot = table.slots(); slot-- > 0;) {
    if (!table.visible(slot, view)) {
      continue;
    }
    const Row& row = *table.version(slot).row;
    last = last ? std::max(*last, std::get<Moment>(row[2])) : std::get<Moment>(row[2]);
  }
  for (std::size_t slot = 0; last && slot < table.slots() && !mark; ++slot) {
    const Row& row = *table.version(slot).row;
    if (table.visible(slot, view) &&
        absolute_ticks(std::get<Moment>(row[2])) >=
            absolute_ticks(*last) - retention_minutes * 60 * kTicksPerSecond) {
      mark = bytes_of(row[0]);
    }
  }
  return mark;
}

void cleanup_change_table(Engine& engine, Database& database, const std::string& capture_instance,
                          const Lsn& mark) {
  require_cdc(database);
  CaptureInstance& instance = instance_or_throw(database, capture_instance);
  if (mark < instance.start_lsn) {
    throw SqlError(22957, "LSN " + hex_text(mark) +
                              ", specified as the new low end point for the change "
                              "table, is not valid: it is below the current one.");
  }
  const Table& mapping = *database.lsn_time_mapping;
  const ReadView view{engine.last_commit(), 0, false, false};
  const auto slots = mapping.candidates(ColumnRange{0, Value(mark), Value(mark)});
  if (std::none_of(slots.begin(), slots.end(),
                   [&](std::size_t slot) { return mapping.visible(slot, view); })) {
    throw SqlError(22964,
                   "LSN " + hex_text(mark) +
                       ", specified as the new low end point for the change "
                       "table, does not appear as a start_lsn value in cdc.lsn_time_mapping.");
  }
  raise_low_water_mark(database, mark, instance.name);
  delete_rows_below(engine, instance.table, mark);
}

std::optional<Lsn> max_lsn(Engine& engine, const Database& database) {
  const ReadView view{engine.last_commit(), 0, false, false};
  const Table& table = *database.lsn_time_mapping;
  for (std::size_t slot = table.slots(); slot-- > 0;) {
    if (table.visible(slot, view)) {
      return bytes_of((*table.version(slot).row)[0]);
    }
  }
  return std::nullopt;
}

}  // namespace headgate::test::sqlserver
