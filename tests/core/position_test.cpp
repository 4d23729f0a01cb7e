#include "core/position.hpp"

#include <catch2/catch.hpp>

#include "core/transaction.hpp"

namespace {

using headgate::History;
using headgate::LSN;
using headgate::Position;
using headgate::Transaction;

TEST_CASE("a position without an LSN is empty, and histories tell positions apart") {
  CHECK(Position{}.empty());
  CHECK(Position{LSN::from_postgres(0), History{"postgres:7:1"}}.empty());
  const Position position{LSN::parse("0/10"), History{"postgres:7:1"}};
  CHECK_FALSE(position.empty());
  CHECK(position.to_string() == "0/10");
  CHECK(position == Position{LSN::parse("0/10"), History{"postgres:7:1"}});
  CHECK_FALSE(position == Position{LSN::parse("0/10"), History{"postgres:7:2"}});
  CHECK_FALSE(position == Position{LSN::parse("0/11"), History{"postgres:7:1"}});
}

TEST_CASE("a sink holds a transaction once its position has reached the transaction's end") {
  Transaction transaction("7", LSN::parse("0/10"), {});
  transaction.end_position.lsn = LSN::parse("0/20");
  CHECK_FALSE(is_contained(transaction, Position{LSN::parse("0/1F"), {}}));
  CHECK(is_contained(transaction, Position{LSN::parse("0/20"), {}}));
  CHECK(is_contained(transaction, Position{LSN::parse("0/21"), {}}));
}

// A portion whose end is not known yet: positions are ends, so one at its commit LSN is of an
// earlier transaction.
TEST_CASE("a sink holds a transaction of unknown end only once its position is past the commit") {
  const Transaction transaction("7", LSN::parse("0/10"), {});
  CHECK_FALSE(is_contained(transaction, Position{}));
  CHECK_FALSE(is_contained(transaction, Position{LSN::parse("0/10"), {}}));
  CHECK(is_contained(transaction, Position{LSN::parse("0/11"), {}}));
}

}  // namespace
