#include "source/postgres/server_check.hpp"

#include <catch2/catch.hpp>

namespace headgate::source::postgres {
namespace {

// A table added to a publication while transactions write to it: some minor versions do not publish
// all of its rows.
TEST_CASE("a minor version that can leave rows of an added table out is known with its remedy") {
  CHECK(add_table_fix(150013) == "15.14");
  CHECK(add_table_fix(150014).empty());
  CHECK(add_table_fix(150020).empty());
  CHECK(add_table_fix(130021) == "13.22");
  CHECK(add_table_fix(170005) == "17.6");
  CHECK(add_table_fix(170006).empty());
  CHECK(add_table_fix(180000).empty());
  CHECK(add_table_fix(190000).empty());
  CHECK(add_table_fix(120022) == "a supported version");
  CHECK(add_table_fix(100023) == "a supported version");
}

}  // namespace
}  // namespace headgate::source::postgres
