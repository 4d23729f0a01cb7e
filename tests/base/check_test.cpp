#include "base/check.hpp"

#include <catch2/catch.hpp>

namespace {

using headgate::CheckFailure;

TEST_CASE("a broken invariant throws and says which rule it was, where, and what was tested") {
  const int rows = 3;
  CHECK_NOTHROW([&] { HEADGATE_CHECK(rows == 3, "three rows"); }());
  CHECK_THROWS_WITH([&] { HEADGATE_CHECK(rows == 4, "a batch has four rows"); }(),
                    Catch::Contains("a batch has four rows") && Catch::Contains("rows == 4") &&
                        Catch::Contains("check_test.cpp:"));
  CHECK_THROWS_AS([&] { HEADGATE_CHECK(rows == 4, "four"); }(), CheckFailure);
}

}  // namespace
