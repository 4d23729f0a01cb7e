#include "source/postgres/schema_watch.hpp"

#include <utility>

#include "core/lsn.hpp"

namespace headgate::source::postgres {

void SchemaWatch::reset() {
  seen_.clear();
  altered_.clear();
  next_look_ = {};
}

void SchemaWatch::look(TimePoint now) {
  // While the server ends its sessions, there are better things to do than asking for another.
  if (now >= next_look_ && !session_.catalog_ended()) {
    read_catalog();
    next_look_ = now + interval_;
  }
}

void SchemaWatch::read_catalog() {
  // Asked while the stream is read: a server that hangs may not hold that up.
  session_.catalog().limit_answers(std::chrono::seconds(10));
  const Session::CatalogShapes now = session_.table_shapes();
  session_.catalog().limit_answers({});
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
  std::set<std::uint32_t> oids;
  for (const auto& [oid, lsn] : altered_) {
    if (lsn <= reached) {
      oids.insert(oid);
    }
  }
  if (oids.empty()) {
    return {};
  }
  const auto before = altered_;
  read_catalog();
  std::vector<TableSchemaPtr> schemas;
  for (const Session::CopyTable& table : session_.copy_tables(session_.catalog(), &oids)) {
    const std::uint32_t oid = table.schema->source_id;
    const auto altered = altered_.find(oid);
    if (altered != altered_.end() && altered->second == before.at(oid)) {
      schemas.push_back(table.schema);
    }
  }
  for (const std::uint32_t oid : oids) {
    const auto altered = altered_.find(oid);
    if (altered != altered_.end() && altered->second == before.at(oid)) {
      altered_.erase(altered);
    }
  }
  return schemas;
}

}  // namespace headgate::source::postgres
