#include "config/load_config.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config/findings.hpp"
#include "config/identifiers.hpp"
#include "config/sections.hpp"
#include "config/yaml_reader.hpp"
#include "config/yaml_tree.hpp"

namespace headgate {
namespace config {
namespace {

std::string read_pipeline(const Section& root) {
  const auto pipeline = root.required_text("pipeline");
  if (!pipeline) {
    return {};
  }
  if (const std::string problem = pipeline_name_problem(pipeline->value); !problem.empty()) {
    root.fail("pipeline", fmt::format("{} {}", pipeline->shown, problem));
    return {};
  }
  return pipeline->value;
}

// Asks for every key there is, in an order in which later sections may use earlier ones.
Config read_root(const Section& root) {
  Config config;
  config.pipeline = read_pipeline(root);
  read_source(root, config);
  read_tables(root, config);
  read_limits(root, config);
  read_cdc(root, config);
  read_snapshot(root, config);
  read_sinks(root, config);
  read_skills(root);
  read_errors(root);
  read_storage(root, config);
  config.shutdown_timeout = root.duration("shutdown_timeout", config.shutdown_timeout,
                                          {std::chrono::seconds(1), std::chrono::hours(1)});
  read_http(root, config);
  read_alerts(root);
  read_logging(root, config);
  return config;
}

Error unreadable(const std::string& path, int error) {
  return {ErrorKind::kConfig, fmt::format("{}: cannot read it: {}", path, std::strerror(error))};
}

// At most one byte more than a configuration may have.
std::string read_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    throw unreadable(path, errno);
  }
  std::string content(kYamlBytesMax + 1, '\0');
  std::size_t size = 0;
  ssize_t count = 1;
  int error = 0;
  while (size < content.size() && count != 0 && error == 0) {
    count = ::read(descriptor, content.data() + size, content.size() - size);
    if (count > 0) {
      size += static_cast<std::size_t>(count);
    } else if (count < 0 && errno != EINTR) {
      error = errno;
    }
  }
  ::close(descriptor);
  if (error != 0) {
    throw unreadable(path, error);
  }
  content.resize(size);
  return content;
}

}  // namespace

std::vector<std::string> known_keys() {
  Findings ignored;
  // Lists are only looked into where they have an item.
  YamlReader reader(parse_yaml("{sinks: [{}], alerts: [{}]}", ignored), ignored);
  read_root(reader.root());
  std::vector<std::string> keys = reader.asked_keys();
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace config

Config parse_config(const std::string& name, const std::string& yaml) {
  config::Findings findings;
  const config::YamlNodePtr tree = config::parse_yaml(yaml, findings);
  if (tree == nullptr) {
    throw Error{ErrorKind::kConfig, findings.describe(name)};
  }
  config::YamlReader reader(tree, findings);
  Config result = config::read_root(reader.root());
  reader.report_unknown_keys();
  if (!findings.empty()) {
    throw Error{ErrorKind::kConfig, findings.describe(name)};
  }
  result.file = name;
  for (const auto& warning : reader.warnings()) {
    result.warnings.push_back(config::describe(name, warning.place, warning.message));
  }
  return result;
}

Config load_config(const std::string& path) {
  return parse_config(path, config::read_file(path));
}

}  // namespace headgate
