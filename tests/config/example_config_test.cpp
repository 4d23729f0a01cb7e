// The files in config/ are what people start from, so they are loaded as they stand.

#include <fstream>
#include <set>
#include <sstream>

#include <catch2/catch.hpp>

#include "config/config.hpp"
#include "config/load_config.hpp"
#include "config/yaml_tree.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

using namespace std::chrono_literals;

const std::string kExample = HEADGATE_CONFIG_FOLDER "/headgate.example.yml";
const std::string kMinimal = HEADGATE_CONFIG_FOLDER "/headgate.minimal.yml";

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// All that the two files have in common with the documentation's defaults.
void check_defaults(const Config& config) {
  const Config defaults;
  CHECK(config.pipeline == "shop");
  CHECK(config.source.slot == "headgate_shop");
  CHECK(config.source.publication == "headgate_shop");
  CHECK(config.source.password.empty());
  CHECK(config.source.keyless == defaults.source.keyless);
  CHECK(config.source.decoding_work_mem == defaults.source.decoding_work_mem);
  CHECK(config.cdc.interval == defaults.cdc.interval);
  CHECK(config.cdc.max_transactions == defaults.cdc.max_transactions);
  CHECK(config.cdc.max_batch_bytes == defaults.cdc.max_batch_bytes);
  CHECK(config.snapshot.mode == defaults.snapshot.mode);
  CHECK(config.snapshot.in_chunks == defaults.snapshot.in_chunks);
  CHECK(config.snapshot.existing == defaults.snapshot.existing);
  CHECK(config.storage_dir == defaults.storage_dir);
  CHECK(config.memory_limit == defaults.memory_limit);
  CHECK(config.shutdown_timeout == defaults.shutdown_timeout);
  CHECK(config.http.listen == defaults.http.listen);
  CHECK(config.http.token.empty());
  CHECK(config.logging.level == defaults.logging.level);
  CHECK(config.logging.format == defaults.logging.format);
  CHECK(config.logging.file == defaults.logging.file);
  REQUIRE(config.sinks.size() == 1);
  CHECK(config.sinks[0].name == "business");
  REQUIRE(config.sinks[0].mirror);
  CHECK(config.sinks[0].mirror->schema.empty());
  CHECK(config.warnings.empty());
}

// Adds the keys below `node` to `keys`, as known_keys writes them.
void collect_keys(const YamlNode& node, const std::string& path, std::set<std::string>& keys) {
  for (const YamlEntry& entry : node.entries) {
    const std::string key = path.empty() ? entry.key : path + "." + entry.key;
    keys.insert(key);
    collect_keys(*entry.value, key, keys);
  }
  for (const YamlNodePtr& item : node.items) {
    collect_keys(*item, path + "[]", keys);
  }
}

// The example with what is commented out put into effect. Only a setting has no blank after its
// `#`.
std::string uncommented(const std::string& yaml) {
  std::string result;
  std::istringstream lines(yaml);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t mark = line.find_first_not_of(' ');
    const bool comment = mark != line.npos && line[mark] == '#' && mark + 1 < line.size();
    if (comment && line[mark + 1] != ' ' && line[mark + 1] != '#') {
      line.erase(mark, 1);
    }
    result += line + "\n";
  }
  return result;
}

TEST_CASE("the example is good, and shows the defaults") {
  const Config config = load_config(kExample);
  check_defaults(config);
  CHECK(config.source.conninfo == "host=/run/postgresql dbname=shop user=headgate");
  CHECK(config.source.tables ==
        std::vector<std::string>{"public.orders", "sales.*", "!sales.tmp_*"});
  CHECK(std::get<sink::sqlite::Options>(config.sinks[0].driver).path == "./data/business.db");
}

TEST_CASE("the minimal file is good, and has the defaults") {
  const Config config = load_config(kMinimal);
  check_defaults(config);
  CHECK(config.source.tables == std::vector<std::string>{"public.*"});
}

// Compares with what the loader asks for, so that neither can go without the other.
TEST_CASE("the example has every key that the loader knows, and no other") {
  Findings findings;
  const YamlNodePtr tree = parse_yaml(uncommented(read(kExample)), findings);
  INFO(findings.describe("example, uncommented"));
  REQUIRE(findings.empty());
  REQUIRE(tree != nullptr);

  std::set<std::string> documented;
  collect_keys(*tree, "", documented);
  const std::vector<std::string> known = known_keys();
  CHECK(documented == std::set<std::string>(known.begin(), known.end()));
  CHECK(known.size() > 60);
}

// A default that the loader would not take, or that changes something, is a wrong document.
TEST_CASE("what the example comments out is right too, or refused by name") {
  const std::vector<std::string> findings = findings_of(uncommented(read(kExample)));
  INFO(message_of(uncommented(read(kExample))));
  CHECK(findings.size() == 2);
  CHECK(message_of(uncommented(read(kExample))).find("alerts: not available") != std::string::npos);
}

}  // namespace
}  // namespace headgate::config
