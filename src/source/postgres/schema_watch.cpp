#include "source/postgres/schema_watch.hpp"

#include <utility>

#include "base/error.hpp"

namespace headgate::source::postgres {

void SchemaWatch::reset() {
  seen_.clear();
  altered_.clear();
  next_look_ = {};
}

// Looking is worth nothing that was read: whatever fails is tried again next time. (From 16 on the
// server opens every published table for it, so that somebody's lock, or a table that is dropped at
// that moment, makes it fail.)
void SchemaWatch::look(TimePoint now) {
  // While the server ends its sessions, there are better things to do than asking for another.
  if (now < next_look_ || session_.catalog_ended()) {
    return;
  }
  next_look_ = now + interval_;
  try {
    read_catalog();
  } catch (const Error& error) {
    log_->info("tables not looked at error=\"{}\"", error.describe());
  }
}

void SchemaWatch::read_catalog() {
  const Session::CatalogShapes now = session_.table_shapes();
  std::map<std::uint32_t, Seen> seen;
  for (const Session::TableShape& table : now.tables) {
    const auto before = seen_.find(table.oid);
    if (before == seen_.end() || before->second.shape != table.shape) {
      altered_[table.oid] = now.lsn;
    }
    seen[table.oid] = {table.name, table.shape};
  }
  for (const auto& [oid, table] : seen_) {
    if (!seen.contains(oid)) {
      altered_.erase(oid);
      log_->warn(
          "table is no longer captured table={} reason=\"it was dropped, renamed to a name that "
          "`tables` does not select, or taken out of the publication\"; the sinks keep theirs",
          table.name);
    }
  }
  seen_ = std::move(seen);
}

std::vector<TableSchemaPtr> SchemaWatch::due(std::uint64_t reached) {
  // More would keep the server waiting for a sign of life; the others follow with the next one.
  constexpr std::size_t kTablesMax = 20;
  std::set<std::uint32_t> oids;
  for (const auto& [oid, lsn] : altered_) {
    if (lsn <= reached && oids.size() < kTablesMax) {
      oids.insert(oid);
    }
  }
  if (oids.empty() || session_.catalog_ended()) {
    return {};
  }
  try {
    return describe(oids);
  } catch (const Error& error) {
    log_->info("tables not looked at error=\"{}\"", error.describe());
    return {};
  }
}

// What is the same before and behind the description was the same while it was made.
std::vector<TableSchemaPtr> SchemaWatch::describe(const std::set<std::uint32_t>& oids) {
  const auto before = altered_;
  const std::vector<Session::CopyTable> tables = session_.describe_tables(oids);
  read_catalog();
  std::vector<TableSchemaPtr> schemas;
  for (const std::uint32_t oid : oids) {
    const auto altered = altered_.find(oid);
    if (altered == altered_.end() || altered->second != before.at(oid)) {
      continue;  // gone, or altered once more: later
    }
    altered_.erase(altered);
    for (const Session::CopyTable& table : tables) {
      if (table.schema->source_id == oid) {
        schemas.push_back(table.schema);
      }
    }
  }
  return schemas;
}

}  // namespace headgate::source::postgres
