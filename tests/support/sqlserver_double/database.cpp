#include "support/sqlserver_double/database.hpp"

#include <algorithm>
#include <atomic>
#include <random>

#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

std::string random_guid() {
  static std::atomic<std::uint64_t> count{0};
  std::mt19937_64 generator(std::random_device{}() + ++count);
  std::string guid;
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t bits = generator();
    for (int shift = 0; shift < 64; shift += 8) {
      guid.push_back(static_cast<char>(bits >> shift));
    }
  }
  return guid;
}

const CapturedColumn* CaptureInstance::column(const std::string& column_name) const {
  for (const CapturedColumn& captured : columns) {
    if (same_name(captured.name, column_name)) {
      return &captured;
    }
  }
  return nullptr;
}

Database::Database(std::string database_name, int database_id, Moment created)
    : name(std::move(database_name)),
      id(database_id),
      create_date(created),
      recovery_fork_guid(random_guid()),
      family_guid(random_guid()),
      database_guid(random_guid()),
      schemas{{"dbo", 1}, {"guest", 2}, {"information_schema", 3}, {"sys", 4}} {
  log_end = log.next_commit();
}

std::unique_ptr<Database> Database::copy() const {
  auto result = std::make_unique<Database>(*this);
  std::map<const Table*, TablePtr> copies;
  for (auto& [object_id, table] : result->tables_) {
    auto copied = std::make_shared<Table>(*table);
    copied->writers.clear();
    copied->row_locks.clear();
    copied->shared_lock_holders.clear();
    copies[table.get()] = copied;
    table = copied;
  }
  if (result->lsn_time_mapping) {
    result->lsn_time_mapping = copies.at(result->lsn_time_mapping.get());
  }
  for (CaptureInstance& instance : result->instances) {
    instance.table = copies.at(instance.table.get());
  }
  return result;
}

TablePtr Database::add_table(const std::string& schema, const std::string& table_name,
                             Moment created) {
  if (!schemas.contains(lower(schema))) {
    throw SqlError(2760, "The specified schema name \"" + schema +
                             "\" either does not exist or you do not have permission to use it.");
  }
  const std::string key = lower(schema) + "." + lower(table_name);
  if (table_ids_.contains(key)) {
    throw SqlError(2714, "There is already an object named '" + table_name + "' in the database.");
  }
  auto table = std::make_shared<Table>();
  table->object_id = next_object_id();
  table->schema = schema;
  table->name = table_name;
  table->create_date = created;
  table->modify_date = created;
  table_ids_[key] = table->object_id;
  tables_[table->object_id] = table;
  return table;
}

void Database::remove_table(int object_id) {
  tables_.erase(object_id);
  std::erase_if(table_ids_, [object_id](const auto& entry) { return entry.second == object_id; });
}

void Database::rename_table(Table& table, const std::string& new_name) {
  const std::string key = lower(table.schema) + "." + lower(new_name);
  if (table_ids_.contains(key)) {
    throw SqlError(
        15335, "Error: The new name '" + new_name + "' is already in use as a object name.", 11);
  }
  table_ids_.erase(lower(table.schema) + "." + lower(table.name));
  table_ids_[key] = table.object_id;
  table.name = new_name;
}

TablePtr Database::table(const std::string& schema, const std::string& table_name) const {
  const auto found = table_ids_.find(lower(schema) + "." + lower(table_name));
  return found == table_ids_.end() ? nullptr : tables_.at(found->second);
}

TablePtr Database::table(int object_id) const {
  const auto found = tables_.find(object_id);
  return found == tables_.end() ? nullptr : found->second;
}

CaptureInstance* Database::instance(const std::string& instance_name) {
  const auto found = std::find_if(instances.begin(), instances.end(), [&](const auto& instance) {
    return same_name(instance.name, instance_name);
  });
  return found == instances.end() ? nullptr : &*found;
}

std::vector<CaptureInstance*> Database::instances_of(int source_object_id) {
  std::vector<CaptureInstance*> result;
  for (CaptureInstance& instance : instances) {
    if (instance.source_object_id == source_object_id) {
      result.push_back(&instance);
    }
  }
  return result;
}

}  // namespace headgate::test::sqlserver
