#include "transform/mirror.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

// The same description but for the name, which the mirror may have changed.
bool describes(const TableSchema& source, const TableSchema& output) {
  return source.columns == output.columns && source.key == output.key;
}

}  // namespace

void Mirror::transform(const TransformContext& context, const Transaction& transaction,
                       const BatchContext&, DataSet& out) {
  // Few tables per transaction: a linear look beats a map.
  std::vector<std::pair<const TableSchema*, const SinkConfig*>> tables;
  for (const TableSchemaPtr& schema : transaction.involved_tables()) {
    const SinkConfigPtr& config = config_for(context, schema);
    tables.emplace_back(schema.get(), config.get());
    if (out.configs.empty() || out.configs.back() != config) {
      out.configs.push_back(config);
    }
  }
  out.operations.reserve(out.operations.size() + transaction.changes().size());
  for (const Change& change : transaction.changes()) {
    const auto found = std::find_if(tables.begin(), tables.end(),
                                    [&](const auto& entry) { return entry.first == change.table; });
    out.operations.push_back(
        {found->second, change.operation, change.data, change.before, change.key_only});
  }
}

const SinkConfigPtr& Mirror::config_for(const TransformContext& context,
                                        const TableSchemaPtr& schema) {
  Target& target = targets_[schema->name];
  if (target.described_by == schema) {
    return target.config;
  }
  if (!target.config || !describes(*schema, target.config->output)) {
    auto config = std::make_shared<SinkConfig>();
    config->name = schema->name.to_string();
    config->database = context.sink;
    config->output = *schema;
    config->output.name = target_name(schema->name);
    claim(config->output.name, schema->name);
    target.config = std::move(config);
  }
  target.described_by = schema;
  return target.config;
}

// Two tables of the source in one of the sink would overwrite each other's rows.
void Mirror::claim(const TableName& target, const TableName& source) {
  const auto [place, added] = sources_.try_emplace(target, source);
  if (!added && place->second != source) {
    throw Error{ErrorKind::kOperator,
                fmt::format("tables {} and {} of the source would both be {} in the sink",
                            place->second.to_string(), source.to_string(), target.to_string()),
                "leave one of them out of `tables`, or mirror without `schema`"};
  }
}

TableName Mirror::target_name(const TableName& source) const {
  if (naming_ == SinkNaming::kSchemas) {
    return options_.schema.empty() ? source : TableName{options_.schema, source.table};
  }
  const bool bare = source.schema.empty() || source.schema == "public" || source.schema == "dbo";
  return {"", bare ? source.table : source.to_string()};
}

}  // namespace headgate
