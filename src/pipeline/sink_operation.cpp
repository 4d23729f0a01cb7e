#include "pipeline/sink_operation.hpp"

namespace headgate {

std::vector<std::string> SinkConfig::primary_key() const {
  std::vector<std::string> names;
  names.reserve(output.key.size());
  for (const std::size_t column : output.key) {
    names.push_back(output.columns[column].name);
  }
  return names;
}

}  // namespace headgate
