#include "config/env_expansion.hpp"

#include <catch2/catch.hpp>

#include "config_test_support.hpp"

namespace headgate::config {
namespace {

TEST_CASE("variables are replaced once, wherever they stand") {
  const EnvironmentVariable host("HEADGATE_TEST_HOST", "db1");
  const EnvironmentVariable nested("HEADGATE_TEST_NESTED", "${HEADGATE_TEST_HOST}: {a: b}");
  const EnvironmentVariable empty("HEADGATE_TEST_EMPTY", "");
  struct Case {
    const char* text;
    const char* expanded;
  };
  const Case cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"${HEADGATE_TEST_HOST}", "db1"},
      {"host=${HEADGATE_TEST_HOST} port=1", "host=db1 port=1"},
      {"${HEADGATE_TEST_HOST}${HEADGATE_TEST_HOST}", "db1db1"},
      {"${HEADGATE_TEST_EMPTY}", ""},
      {"${HEADGATE_TEST_NESTED}", "${HEADGATE_TEST_HOST}: {a: b}"},
      {"$${HEADGATE_TEST_HOST}", "${HEADGATE_TEST_HOST}"},
      {"$$${HEADGATE_TEST_HOST}", "$${HEADGATE_TEST_HOST}"},
      {"$HOME $ $$ a$", "$HOME $ $$ a$"},
      {"}{", "}{"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    const Expansion expansion = expand_environment(c.text);
    CHECK(expansion.problems.empty());
    CHECK(expansion.text == c.expanded);
  }
}

TEST_CASE("each unset variable is named, and a broken reference is told") {
  const Expansion unset = expand_environment("${HEADGATE_UNSET_A} ${HEADGATE_UNSET_B}");
  REQUIRE(unset.problems.size() == 2);
  CHECK(unset.problems[0] == "environment variable HEADGATE_UNSET_A is not set");
  CHECK(unset.problems[1] == "environment variable HEADGATE_UNSET_B is not set");
  for (const char* text : {"${", "${A", "${}", "${A B}", "${1A}", "${A:-x}", "x${\xC3\xA4}"}) {
    INFO(text);
    REQUIRE(expand_environment(text).problems.size() == 1);
    CHECK(expand_environment(text).problems[0] ==
          "\"${\" is not followed by the name of a variable and \"}\"");
  }
}

TEST_CASE("a variable that is not UTF-8 is refused") {
  const EnvironmentVariable bad("HEADGATE_TEST_BAD", "\xFF");
  CHECK(expand_environment("${HEADGATE_TEST_BAD}").problems.size() == 1);
}

}  // namespace
}  // namespace headgate::config
