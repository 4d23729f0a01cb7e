#include "source/postgres/stream_spool.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "message_bytes.hpp"

namespace headgate::source::postgres {
namespace {

constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;

std::string insert(std::uint32_t xid, const std::string& value) {
  return MessageBytes('I').u32(xid).u32(16'385).letter('N').u16(1).text_value(value);
}

std::string relation(std::uint32_t xid) {
  return MessageBytes('R').u32(xid).u32(16'385).string("s").string("t").letter('d').u16(0);
}

// The values of the inserts that are left, "R" for a description.
std::vector<std::string> left_of(SpooledTransaction transaction) {
  std::vector<std::string> left;
  PgoutputDecoder decoder;
  while (const auto bytes = transaction.next()) {
    const PgoutputMessage& message = decoder.decode(*bytes);
    if (const auto* row = std::get_if<InsertMessage>(&message)) {
      left.emplace_back(row->row[0].bytes());
    } else if (std::holds_alternative<RelationMessage>(message)) {
      left.emplace_back("R");
    } else {
      left.emplace_back("other");
    }
  }
  return left;
}

class Spool {
 public:
  void segment(std::uint32_t xid, bool first, const std::vector<std::string>& messages) {
    spool.start({xid, first});
    for (const std::string& message : messages) {
      spool.add(message);
    }
    spool.stop();
  }

  SpillSpace space{std::filesystem::temp_directory_path().string(), kRoom};
  StreamSpool spool{space};
};

TEST_CASE("segments of several transactions in turns are kept apart, in order") {
  Spool s;
  s.segment(10, true, {relation(10), insert(10, "a")});
  s.segment(20, true, {relation(20), insert(20, "x")});
  s.segment(10, false, {insert(10, "b"), insert(11, "c")});
  s.segment(20, false, {insert(20, "y")});
  CHECK(s.spool.transactions() == 2);
  CHECK(left_of(s.spool.take(20)) == std::vector<std::string>{"R", "x", "y"});
  CHECK(left_of(s.spool.take(10)) == std::vector<std::string>{"R", "a", "b", "c"});
  CHECK(s.spool.transactions() == 0);
}

// The server describes a table again when it was described in a savepoint that was rolled back.
TEST_CASE("a savepoint that was rolled back leaves nothing, and no description either") {
  Spool s;
  s.segment(10, true, {relation(11), insert(11, "gone"), insert(10, "a"), insert(12, "gone too")});
  s.spool.abort({10, 11});
  s.segment(10, false, {relation(10), insert(10, "b"), insert(12, "gone as well")});
  s.spool.abort({10, 12});
  CHECK(left_of(s.spool.take(10)) == std::vector<std::string>{"a", "R", "b"});
}

TEST_CASE("a transaction that was rolled back is gone, and its id free for another") {
  Spool s;
  s.segment(10, true, {insert(10, "a")});
  s.spool.abort({10, 10});
  CHECK(s.spool.transactions() == 0);
  s.spool.abort({10, 10});  // unknown by now, which is nothing to complain about
  s.segment(10, true, {insert(10, "b")});
  CHECK(left_of(s.spool.take(10)) == std::vector<std::string>{"b"});
}

TEST_CASE("after a reconnect a transaction begins again with its first segment") {
  Spool s;
  s.segment(10, true, {insert(10, "a")});
  s.spool.start({10, false});
  s.spool.reset();
  CHECK_FALSE(s.spool.in_segment());
  s.segment(10, true, {insert(10, "a"), insert(10, "b")});
  CHECK(left_of(s.spool.take(10)) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a large transaction comes back whole from the disk") {
  Spool s;
  std::vector<std::string> wanted;
  s.spool.start({10, true});
  for (int i = 0; i < 5000; ++i) {
    wanted.push_back(std::to_string(i) + std::string(200, 'v'));
    s.spool.add(insert(10, wanted.back()));
  }
  s.spool.stop();
  CHECK(s.space.used() > 0);
  CHECK(left_of(s.spool.take(10)) == wanted);
  CHECK(s.space.used() == 0);
}

TEST_CASE("segments and messages out of place are errors") {
  Spool s;
  CHECK_THROWS_AS(s.spool.stop(), Error);
  CHECK_THROWS_AS(s.spool.start({10, false}), Error);
  CHECK_THROWS_AS(s.spool.take(10), Error);
  s.spool.start({10, true});
  CHECK_THROWS_AS(s.spool.start({11, true}), Error);
  CHECK_THROWS_AS(s.spool.take(10), Error);
  CHECK_THROWS_AS(s.spool.add(std::string(MessageBytes('B').u64(1).u64(1).u32(1))), Error);
  CHECK_THROWS_AS(s.spool.add(""), Error);
  CHECK_THROWS_AS(s.spool.add("I"), Error);
}

}  // namespace
}  // namespace headgate::source::postgres
