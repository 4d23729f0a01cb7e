#include "core/operation.hpp"

#include <catch2/catch.hpp>

namespace {

using headgate::Operation;

TEST_CASE("operations have SQL Server's codes") {
  CHECK(static_cast<int>(Operation::kDelete) == 1);
  CHECK(static_cast<int>(Operation::kInsert) == 2);
  CHECK(static_cast<int>(Operation::kUpdateBefore) == 3);
  CHECK(static_cast<int>(Operation::kUpdateAfter) == 4);
}

// The names are part of every change id, so they never change.
TEST_CASE("operations have the names that change ids are made of") {
  CHECK(to_string(Operation::kDelete) == "DELETE");
  CHECK(to_string(Operation::kInsert) == "INSERT");
  CHECK(to_string(Operation::kUpdateBefore) == "UPDATE_BEFORE");
  CHECK(to_string(Operation::kUpdateAfter) == "UPDATE_AFTER");
  CHECK(to_string(Operation::kTruncate) == "TRUNCATE");
}

}  // namespace
