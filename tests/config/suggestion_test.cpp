#include "config/suggestion.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("the nearest known word is suggested, and none when none is near") {
  const std::vector<std::string> known = {"pipeline", "source",        "tables", "dsn",
                                          "sinks",    "password_file", "slot",   "max_wait"};
  struct Case {
    const char* word;
    const char* meant;  // empty: nothing
  };
  const Case cases[] = {
      {"pipline", "pipeline"},
      {"Source", "source"},
      {"soruce", "source"},
      {"dns", "dsn"},
      {"max-wait", "max_wait"},
      {"passwordfile", "password_file"},
      {"sink", "sinks"},
      {"slots", "slot"},
      {"table", "tables"},
      {"kafka", ""},
      {"", ""},
      {"x", ""},
      {"connector", ""},
  };
  for (const Case& c : cases) {
    INFO(c.word);
    CHECK(nearest(c.word, known).value_or("") == c.meant);
  }
  CHECK_FALSE(nearest(std::string(1 << 20, 's'), known));
}

}  // namespace
}  // namespace headgate::config
