#include "transform/mirror.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/error.hpp"
#include "pipeline/table_record.hpp"

namespace headgate {
namespace {

// Made from an equal description.
bool describes(const TableSchema& source, const SinkConfig& config) {
  return source.name == config.source && source.columns == config.output.columns &&
         source.key == config.output.key && source.source_note == config.output.source_note;
}

// The place of the entry for which `wanted` holds, looked for from `start` on and then from the
// beginning: what comes one after the other is found at once, however many there are. items.size()
// when there is none.
template <typename T, typename Wanted>
std::size_t find_from(const std::vector<T>& items, std::size_t start, Wanted wanted) {
  const auto from = items.begin() + static_cast<std::ptrdiff_t>(std::min(start, items.size()));
  auto found = std::find_if(from, items.end(), wanted);
  if (found == items.end()) {
    found = std::find_if(items.begin(), from, wanted);
    return found == from ? items.size() : static_cast<std::size_t>(found - items.begin());
  }
  return static_cast<std::size_t>(found - items.begin());
}

}  // namespace

void Mirror::transform(const TransformContext& context, const Transaction& transaction,
                       const BatchContext&, DataSet& out) {
  std::vector<std::pair<const TableSchema*, const SinkConfig*>> tables;
  tables.reserve(transaction.involved_tables().size());
  std::size_t place = 0;
  for (const TableSchemaPtr& schema : transaction.involved_tables()) {
    const SinkConfigPtr& config = config_for(context, schema);
    tables.emplace_back(schema.get(), config.get());
    place = find_from(out.configs, place,
                      [&](const SinkConfigPtr& present) { return present == config; });
    if (place == out.configs.size()) {
      out.configs.push_back(config);
    }
  }
  place = 0;
  for (const Change& change : transaction.changes()) {
    place =
        find_from(tables, place, [&](const auto& entry) { return entry.first == change.table; });
    out.operations.push_back(
        {tables[place].second, change.operation, change.data, change.before, change.key_only});
  }
}

bool Mirror::alters_tables(const Transaction& transaction) const {
  const auto& tables = transaction.involved_tables();
  return std::any_of(tables.begin(), tables.end(), [&](const TableSchemaPtr& schema) {
    if (described_.contains(schema.get())) {
      return false;
    }
    const auto known = targets_.find(record_id(*schema));
    return known == targets_.end() || !describes(*schema, *known->second.config);
  });
}

const SinkConfigPtr& Mirror::config_for(const TransformContext& context,
                                        const TableSchemaPtr& schema) {
  if (const auto known = described_.find(schema.get()); known != described_.end()) {
    return known->second->config;
  }
  const std::string id = record_id(*schema);
  Target& target = targets_[id];
  if (!target.config || !describes(*schema, *target.config)) {
    auto config = std::make_shared<SinkConfig>();
    config->name = schema->name.to_string();
    config->database = context.sink;
    config->source = schema->name;
    config->output = *schema;
    config->output.name = target_name(schema->name);
    config->schema_changes = options_.schema_changes;
    config->isolation = options_.isolation;
    config->truncate = options_.truncate;
    claim(config->output.name, id, schema->name);
    target.config = std::move(config);
  }
  described_.erase(target.described_by.get());
  described_.emplace(schema.get(), &target);
  target.described_by = schema;
  return target.config;
}

// Two tables of the source in one of the sink would overwrite each other's rows. One that has given
// its name up, renamed or dropped, is no longer in the way; whose rows are in the sink's table,
// the sink itself remembers.
void Mirror::claim(const TableName& target, const std::string& id, const TableName& source) {
  std::erase_if(claims_, [&](const auto& entry) { return entry.second.id == id; });
  const auto [place, added] = claims_.try_emplace(target, Claim{id, source});
  if (added || place->second.source == source) {
    place->second.id = id;
    return;
  }
  throw Error{ErrorKind::kOperator,
              fmt::format("tables {} and {} of the source would both be {} in the sink",
                          place->second.source.to_string(), source.to_string(), target.to_string()),
              "leave one of them out of `tables`, or mirror without `schema`"};
}

TableName Mirror::target_name(const TableName& source) const {
  if (naming_ == SinkNaming::kSchemas) {
    return options_.schema.empty() ? source : TableName{options_.schema, source.table};
  }
  const bool bare = source.schema.empty() || source.schema == "public" || source.schema == "dbo";
  return {"", bare ? source.table : source.to_string()};
}

}  // namespace headgate
