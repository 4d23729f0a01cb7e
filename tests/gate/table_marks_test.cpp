#include "gate/table_marks.hpp"

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

const std::set<TableName> kBoth = {name("lines"), name("orders")};

TEST_CASE("all tables have been read only as far as the slowest") {
  TableMarks marks(kBoth);
  CHECK(marks.all_read_to().is_zero());
  marks.advance(name("orders"), at_second(9), lsn(9));
  CHECK(marks.all_read_to().is_zero());
  marks.advance(name("lines"), at_second(5), lsn(5));
  CHECK(marks.all_read_to() == lsn(5));
  marks.advance(name("lines"), at_second(12), lsn(12));
  CHECK(marks.all_read_to() == lsn(9));
  CHECK(marks.read_to(name("lines")) == lsn(12));
}

TEST_CASE("without tables nothing has been read") {
  CHECK(TableMarks({}).all_read_to().is_zero());
  CHECK(TableMarks({}).all_commit_time() == std::nullopt);
}

TEST_CASE("a mark never moves back, and may be repeated") {
  TableMarks marks(kBoth);
  marks.advance(name("orders"), at_second(9), lsn(9));
  CHECK_NOTHROW(marks.advance(name("orders"), at_second(9), lsn(9)));
  CHECK_THROWS_AS(marks.advance(name("orders"), at_second(10), lsn(8)), CheckFailure);
}

TEST_CASE("commit times may jump back; the greatest counts") {
  TableMarks marks(kBoth);
  marks.advance(name("orders"), at_second(9), lsn(9));
  marks.advance(name("orders"), at_second(2), lsn(10));
  CHECK(marks.commit_time(name("orders")) == at_second(9));
  CHECK(marks.read_to(name("orders")) == lsn(10));
}

TEST_CASE("a time without an LSN says nothing about LSNs") {
  TableMarks marks(kBoth);
  marks.advance_time(name("orders"), at_second(9));
  CHECK(marks.all_commit_time() == std::nullopt);
  marks.advance_time(name("lines"), at_second(3));
  CHECK(marks.all_commit_time() == at_second(3));
  CHECK(marks.all_read_to().is_zero());
}

TEST_CASE("marking all tables leaves those that are further where they are") {
  TableMarks marks(kBoth);
  marks.advance(name("orders"), at_second(9), lsn(9));
  marks.advance_all(at_second(5), lsn(5));
  CHECK(marks.read_to(name("orders")) == lsn(9));
  CHECK(marks.read_to(name("lines")) == lsn(5));
  CHECK(marks.commit_time(name("orders")) == at_second(9));
  CHECK(marks.all_read_to() == lsn(5));
}

TEST_CASE("a table that joins counts from where its capture began") {
  TableMarks marks({name("orders")});
  marks.advance(name("orders"), at_second(9), lsn(9));
  marks.add(name("lines"), lsn(4));
  CHECK(marks.all_read_to() == lsn(4));
  CHECK_THROWS_AS(marks.add(name("lines"), lsn(4)), CheckFailure);
}

TEST_CASE("the tables that hold a commit back are named") {
  TableMarks marks(kBoth);
  marks.advance(name("orders"), at_second(9), lsn(9));
  CHECK(marks.behind(lsn(9)) == std::vector{name("lines")});
  CHECK(marks.behind(lsn(10)) == std::vector{name("lines"), name("orders")});
  marks.advance(name("lines"), at_second(9), lsn(9));
  CHECK(marks.behind(lsn(9)).empty());
}

TEST_CASE("a table that is not captured has no mark") {
  TableMarks marks(kBoth);
  CHECK_THROWS_AS(marks.advance(name("typo"), at_second(1), lsn(1)), CheckFailure);
  CHECK_THROWS_AS(marks.advance_time(name("typo"), at_second(1)), CheckFailure);
  CHECK_THROWS_AS(marks.commit_time(name("typo")), CheckFailure);
}

}  // namespace
}  // namespace headgate::gate_test
