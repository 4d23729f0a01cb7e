// Descriptions of one table before and after it was altered, in few words.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/table_record.hpp"

namespace headgate::pipeline_test {

inline Column column(const std::string& name, std::uint32_t source_id,
                     const std::string& type = "integer") {
  Column made;
  made.name = name;
  made.source_id = source_id;
  made.native_type = type;
  made.family = type == "integer" ? TypeFamily::kInteger : TypeFamily::kText;
  made.type_oid = type == "integer" ? 23 : 25;
  return made;
}

// Table `items` of the source in the sink's table `items`; its key is the first column.
inline SinkConfig described(std::vector<Column> columns, std::vector<std::size_t> key = {0}) {
  SinkConfig config;
  config.name = "shop.items";
  config.database = "business";
  config.source = {"shop", "items"};
  config.output.name = {"live", "items"};
  config.output.source_id = 4711;
  config.output.columns = std::move(columns);
  config.output.key = std::move(key);
  return config;
}

inline SinkConfigPtr shared(SinkConfig config) {
  return std::make_shared<const SinkConfig>(std::move(config));
}

}  // namespace headgate::pipeline_test
