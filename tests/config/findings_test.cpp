#include "config/findings.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("findings are told by line, each with its remedy") {
  Findings findings;
  CHECK(findings.empty());
  findings.add({"tables", 9}, "missing");
  findings.add({"source.slot", 3}, "\"A\" is not valid", "use lower case");
  findings.add({"", 4, 7}, "YAML: illegal");
  findings.add({}, "the file is empty");
  CHECK(findings.size() == 4);
  CHECK(findings.describe("a.yml") ==
        "a.yml: the file is empty\n"
        "a.yml:3: source.slot: \"A\" is not valid\n"
        "  use lower case\n"
        "a.yml:4:7: YAML: illegal\n"
        "a.yml:9: tables: missing");
}

TEST_CASE("more findings than anybody reads are counted") {
  Findings findings;
  for (int line = 1; line <= 2500; ++line) {
    findings.add({"x", line}, "wrong");
  }
  const std::string text = findings.describe("a.yml");
  CHECK(text.size() < 4000);
  CHECK(text.ends_with("a.yml:100: x: wrong\na.yml: and 2400 more"));
}

}  // namespace
}  // namespace headgate::config
