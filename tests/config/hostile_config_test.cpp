// Input that nobody writes by hand: it must end in an Error or a Config, soon, and in nothing else.

#include <chrono>
#include <random>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

void load(const std::string& yaml) {
  try {
    parse_config("c.yml", yaml);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    CHECK(std::string_view(error.what()).size() < 100'000);
  }
}

const std::string kEverything = kGoodYaml +
                                "  - &a { name: report, type: postgres, dsn: "
                                "\"postgresql://r@db2/report\", mirror: { schema: x } }\n"
                                "cdc: { interval: 500ms, gap: { check_interval: 1m } }\n"
                                "http: { listen: '127.0.0.1:9020' }\n"
                                "logging: {level: info, file: \"${HOME}/x\"}\n";

TEST_CASE("a bomb of aliases costs no more than its size") {
  std::string yaml = kGoodYaml + "a0: &a0 [x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    yaml +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + "]\n";
  }
  load(yaml);

  std::string sinks = "pipeline: a\nx: &s { name: x, type: kafka }\nsinks: [";
  while (sinks.size() < 200'000) {
    sinks += "*s, ";
  }
  load(sinks + "*s]\n");

  std::string tables = "pipeline: a\ntables: [";
  while (tables.size() < 200'000) {
    tables += "x,";
  }
  load(tables + "x]\n");
}

TEST_CASE("very many brackets, keys or blanks are no trouble") {
  const std::size_t size = 100'000;  // seconds, if anything were quadratic
  for (const char* piece :
       {"[",  "{", "- ", "? ", ": ", "a: ",    "*a ", "&a ",    "!", "\"", "'",    "|\n", "a\n",
        "\n", " ", "#",  "[]", "{}", "a: b\n", "${",  "--- \n", "%", ",",  "[a: ", "\\"}) {
    INFO(piece);
    std::string yaml;
    while (yaml.size() < size) {
      yaml += piece;
    }
    load(yaml);
  }
  std::string keys;
  for (int i = 0; keys.size() < size; ++i) {
    keys += "key_" + std::to_string(i) + ": x\n";
  }
  load(keys);
}

TEST_CASE("every truncation of a good file ends in an error or a config") {
  for (std::size_t size = 0; size <= kEverything.size(); ++size) {
    load(kEverything.substr(0, size));
  }
}

// The same bytes for the same seed, so that a failure can be repeated.
TEST_CASE("random changes of a good file end in an error or a config") {
  const std::string alphabet = " \n\t:-?[]{}*&!|>'\"%@`,#\\$0aA~<=.\x01\x7F\x80\xC3\xFF";
  std::mt19937 random(20240501);
  for (int round = 0; round < 3000; ++round) {
    std::string yaml = kEverything;
    const unsigned edits = 1 + static_cast<unsigned>(random()) % 6;
    for (unsigned i = 0; i < edits; ++i) {
      const std::size_t at = random() % yaml.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          yaml[at] = c;
          break;
        case 1:
          yaml.insert(at, 1, c);
          break;
        default:
          yaml.erase(at, 1 + random() % 3);
          break;
      }
    }
    CAPTURE(round);
    load(yaml);
  }
}

}  // namespace
}  // namespace headgate::config
