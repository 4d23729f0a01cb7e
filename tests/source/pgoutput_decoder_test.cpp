#include "source/postgres/pgoutput_decoder.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "allocation_meter.hpp"
#include "base/error.hpp"
#include "message_bytes.hpp"

namespace headgate::source::postgres {
namespace {

// 2026-01-01 00:00:00.000001 UTC, as the server counts.
constexpr std::int64_t kServerTime = 820'540'800'000'001;
const WallTime kTime{std::chrono::microseconds{1'767'225'600'000'001}};

const std::string kNulInside = std::string("a\0b", 3);

// One good message of every kind and shape.
struct Good {
  std::string name;
  std::string bytes;
};

std::vector<Good> good_messages() {
  return {
      {"begin", MessageBytes('B').u64(0x16B374D848).u64(kServerTime).u32(4'000'000'000)},
      {"commit", MessageBytes('C').u8(0).u64(0x16B374D848).u64(0x16B374D878).u64(kServerTime)},
      {"origin", MessageBytes('O').u64(7).string("upstream")},
      {"relation", MessageBytes('R')
                       .u32(16'385)
                       .string("shop")
                       .string("orders")
                       .letter('d')
                       .u16(2)
                       .u8(1)
                       .string("id")
                       .u32(23)
                       .u32(0xFFFFFFFF)
                       .u8(0)
                       .string("état")
                       .u32(1700)
                       .u32(655'366)},
      {"relation without columns",
       MessageBytes('R').u32(16'385).string("").string("pg_x").letter('n').u16(0)},
      {"type", MessageBytes('Y').u32(16'400).string("shop").string("order_state")},
      {"insert", MessageBytes('I')
                     .u32(16'385)
                     .letter('N')
                     .u16(5)
                     .text_value("1")
                     .null_value()
                     .text_value("")
                     .binary_value(kNulInside)
                     .unchanged_value()},
      {"insert without columns", MessageBytes('I').u32(16'385).letter('N').u16(0)},
      {"update", MessageBytes('U').u32(16'385).letter('N').u16(1).text_value("1")},
      {"update with key", MessageBytes('U')
                              .u32(16'385)
                              .letter('K')
                              .u16(2)
                              .text_value("1")
                              .null_value()
                              .letter('N')
                              .u16(2)
                              .text_value("2")
                              .unchanged_value()},
      {"update with old row", MessageBytes('U')
                                  .u32(16'385)
                                  .letter('O')
                                  .u16(1)
                                  .text_value("1")
                                  .letter('N')
                                  .u16(2)
                                  .text_value("2")
                                  .text_value("3")},
      {"delete with key", MessageBytes('D').u32(16'385).letter('K').u16(1).text_value("1")},
      {"delete with old row",
       MessageBytes('D').u32(16'385).letter('O').u16(2).text_value("1").binary_value("\x7F")},
      {"truncate", MessageBytes('T').u32(2).u8(3).u32(16'385).u32(16'390)},
      {"truncate of nothing", MessageBytes('T').u32(0).u8(0)},
      {"stream start", MessageBytes('S').u32(4'000'000'001).u8(1)},
      {"stream stop", MessageBytes('E')},
      {"stream commit", MessageBytes('c')
                            .u32(4'000'000'001)
                            .u8(0)
                            .u64(0x16B374D848)
                            .u64(0x16B374D878)
                            .u64(kServerTime)},
      {"stream abort", MessageBytes('A').u32(700).u32(701)},
      {"message", MessageBytes('M').u8(1).u64(99).string("app").u32(3).raw(kNulInside)},
  };
}

std::string good(const std::string& name) {
  for (const Good& message : good_messages()) {
    if (message.name == name) {
      return message.bytes;
    }
  }
  throw std::logic_error("no message " + name);
}

// Decodes from memory that ends where the message ends, so that a read past it is noticed.
class Decoded {
 public:
  explicit Decoded(const std::string& bytes) : copy_(std::make_unique<char[]>(bytes.size())) {
    std::memcpy(copy_.get(), bytes.data(), bytes.size());
    message_ = &decoder_.decode(std::string_view(copy_.get(), bytes.size()));
  }

  template <typename Message>
  const Message& as() const {
    return std::get<Message>(*message_);
  }
  const PgoutputMessage& message() const { return *message_; }

 private:
  std::unique_ptr<char[]> copy_;
  PgoutputDecoder decoder_;
  const PgoutputMessage* message_ = nullptr;
};

// True when decoding ended in the one error that bytes from outside may cause; anything else that
// is thrown ends the test.
bool is_refused(const std::string& bytes) {
  try {
    const Decoded decoded(bytes);
    return false;
  } catch (const Error& error) {
    REQUIRE(error.kind() == ErrorKind::kOperator);
    return true;
  }
}

// Reads everything a message points at.
std::size_t touch(std::string_view text) {
  std::size_t sum = 0;
  for (const char c : text) {
    sum += static_cast<unsigned char>(c);
  }
  return sum;
}

std::size_t touch(Row row) {
  std::size_t sum = 0;
  for (const Value& value : row) {
    sum += touch(value.bytes());
  }
  return sum;
}

struct Toucher {
  std::size_t operator()(const BeginMessage&) const { return 0; }
  std::size_t operator()(const CommitMessage&) const { return 0; }
  std::size_t operator()(const OriginMessage& m) const { return touch(m.name); }
  std::size_t operator()(const RelationMessage& m) const {
    std::size_t sum = touch(m.schema) + touch(m.table);
    for (const RelationColumn& column : m.columns) {
      sum += touch(column.name);
    }
    return sum;
  }
  std::size_t operator()(const TypeMessage& m) const { return touch(m.schema) + touch(m.name); }
  std::size_t operator()(const InsertMessage& m) const { return touch(m.row); }
  std::size_t operator()(const UpdateMessage& m) const { return touch(m.old_row) + touch(m.row); }
  std::size_t operator()(const DeleteMessage& m) const { return touch(m.old_row); }
  std::size_t operator()(const TruncateMessage& m) const { return m.relations.size(); }
  std::size_t operator()(const StreamStartMessage&) const { return 0; }
  std::size_t operator()(const StreamStopMessage&) const { return 0; }
  std::size_t operator()(const StreamCommitMessage&) const { return 0; }
  std::size_t operator()(const StreamAbortMessage&) const { return 0; }
  std::size_t operator()(const LogicalMessage& m) const {
    return touch(m.prefix) + touch(m.content);
  }
};

TEST_CASE("a BEGIN has its commit's LSN and time and the transaction's id") {
  const Decoded decoded(good("begin"));
  const auto& begin = decoded.as<BeginMessage>();
  CHECK(begin.commit_lsn == 0x16B374D848);
  CHECK(begin.commit_time == kTime);
  CHECK(begin.xid == 4'000'000'000);
}

TEST_CASE("a COMMIT has the LSNs of its record and of what follows it") {
  const Decoded decoded(good("commit"));
  const auto& commit = decoded.as<CommitMessage>();
  CHECK(commit.commit_lsn == 0x16B374D848);
  CHECK(commit.end_lsn == 0x16B374D878);
  CHECK(commit.commit_time == kTime);
}

TEST_CASE("an origin and a type are read whole") {
  const Decoded origin(good("origin"));
  CHECK(origin.as<OriginMessage>().origin_lsn == 7);
  CHECK(origin.as<OriginMessage>().name == "upstream");
  const Decoded type(good("type"));
  CHECK(type.as<TypeMessage>().type_oid == 16'400);
  CHECK(type.as<TypeMessage>().schema == "shop");
  CHECK(type.as<TypeMessage>().name == "order_state");
}

TEST_CASE("a relation describes its columns") {
  const Decoded decoded(good("relation"));
  const auto& relation = decoded.as<RelationMessage>();
  CHECK(relation.relation == 16'385);
  CHECK(relation.schema == "shop");
  CHECK(relation.table == "orders");
  CHECK(relation.identity == 'd');
  REQUIRE(relation.columns.size() == 2);
  CHECK(relation.columns[0].identity);
  CHECK(relation.columns[0].name == "id");
  CHECK(relation.columns[0].type_oid == 23);
  CHECK(relation.columns[0].type_modifier == -1);
  CHECK_FALSE(relation.columns[1].identity);
  CHECK(relation.columns[1].name == "état");
  CHECK(relation.columns[1].type_oid == 1700);
  CHECK(relation.columns[1].type_modifier == 655'366);

  const Decoded bare(good("relation without columns"));
  CHECK(bare.as<RelationMessage>().schema.empty());
  CHECK(bare.as<RelationMessage>().identity == 'n');
  CHECK(bare.as<RelationMessage>().columns.empty());
}

TEST_CASE("an insert's row keeps NULL, empty, text, binary and unchanged apart") {
  const Decoded decoded(good("insert"));
  const auto& insert = decoded.as<InsertMessage>();
  CHECK(insert.relation == 16'385);
  REQUIRE(insert.row.size() == 5);
  CHECK(insert.row[0] == Value::text("1"));
  CHECK(insert.row[1] == Value::null());
  CHECK(insert.row[2] == Value::text(""));
  CHECK(insert.row[3] == Value::binary(kNulInside));
  CHECK(insert.row[4] == Value::unchanged());
}

TEST_CASE("an update has the old row or key when the server sends it") {
  const Decoded plain(good("update"));
  CHECK(plain.as<UpdateMessage>().relation == 16'385);
  CHECK(plain.as<UpdateMessage>().old_kind == 0);
  CHECK(plain.as<UpdateMessage>().old_row.empty());
  REQUIRE(plain.as<UpdateMessage>().row.size() == 1);
  CHECK(plain.as<UpdateMessage>().row[0] == Value::text("1"));

  const Decoded with_key(good("update with key"));
  const auto& keyed = with_key.as<UpdateMessage>();
  CHECK(keyed.old_kind == 'K');
  REQUIRE(keyed.old_row.size() == 2);
  CHECK(keyed.old_row[0] == Value::text("1"));
  CHECK(keyed.old_row[1] == Value::null());
  REQUIRE(keyed.row.size() == 2);
  CHECK(keyed.row[0] == Value::text("2"));
  CHECK(keyed.row[1] == Value::unchanged());

  const Decoded with_row(good("update with old row"));
  CHECK(with_row.as<UpdateMessage>().old_kind == 'O');
  CHECK(with_row.as<UpdateMessage>().old_row[0] == Value::text("1"));
  CHECK(with_row.as<UpdateMessage>().row[1] == Value::text("3"));
}

TEST_CASE("a delete says how much of the old row it has") {
  const Decoded key(good("delete with key"));
  CHECK(key.as<DeleteMessage>().relation == 16'385);
  CHECK(key.as<DeleteMessage>().old_kind == 'K');
  REQUIRE(key.as<DeleteMessage>().old_row.size() == 1);
  CHECK(key.as<DeleteMessage>().old_row[0] == Value::text("1"));
  const Decoded row(good("delete with old row"));
  CHECK(row.as<DeleteMessage>().old_kind == 'O');
  CHECK(row.as<DeleteMessage>().old_row[1] == Value::binary("\x7F"));
}

TEST_CASE("a truncate names its tables and options") {
  const Decoded decoded(good("truncate"));
  const auto& truncate = decoded.as<TruncateMessage>();
  CHECK(truncate.relations == std::vector<std::uint32_t>{16'385, 16'390});
  CHECK(truncate.cascade);
  CHECK(truncate.restart_identity);
  const Decoded cascade(MessageBytes('T').u32(1).u8(1).u32(5));
  CHECK(cascade.as<TruncateMessage>().cascade);
  CHECK_FALSE(cascade.as<TruncateMessage>().restart_identity);
}

TEST_CASE("an application's message keeps every byte") {
  const Decoded decoded(good("message"));
  const auto& message = decoded.as<LogicalMessage>();
  CHECK(message.transactional);
  CHECK(message.lsn == 99);
  CHECK(message.prefix == "app");
  CHECK(message.content == kNulInside);
}

TEST_CASE("segments of a streamed transaction have its id, commits and rollbacks too") {
  const Decoded start(good("stream start"));
  CHECK(start.as<StreamStartMessage>().xid == 4'000'000'001);
  CHECK(start.as<StreamStartMessage>().first_segment);
  CHECK(std::holds_alternative<StreamStopMessage>(Decoded(good("stream stop")).message()));
  const Decoded commit(good("stream commit"));
  CHECK(commit.as<StreamCommitMessage>().xid == 4'000'000'001);
  CHECK(commit.as<StreamCommitMessage>().commit.commit_lsn == 0x16B374D848);
  CHECK(commit.as<StreamCommitMessage>().commit.end_lsn == 0x16B374D878);
  CHECK(commit.as<StreamCommitMessage>().commit.commit_time == kTime);
  // A parallel stream adds the rollback's LSN and time.
  for (const std::string& bytes :
       {good("stream abort"), good("stream abort") + std::string(16, '\1')}) {
    const Decoded abort(bytes);
    CHECK(abort.as<StreamAbortMessage>().xid == 700);
    CHECK(abort.as<StreamAbortMessage>().subxid == 701);
  }
}

TEST_CASE("a message within a segment is split into its transaction and itself") {
  const std::string streamed =
      MessageBytes('I').u32(4'000'000'002).u32(16'385).letter('N').u16(1).text_value("1");
  const StreamedMessage message = StreamedMessage::split(streamed);
  CHECK(message.type == 'I');
  CHECK(message.xid == 4'000'000'002);
  const std::string plain = MessageBytes('I').u32(16'385).letter('N').u16(1).text_value("1");
  CHECK(message.type + std::string(message.rest) == plain);
  CHECK(StreamedMessage::split(good("origin")).xid == 0);
  for (const char* refused : {"", "I", "I\1\2\3", "Bxxxx", "S", "?"}) {
    CHECK_THROWS_AS(StreamedMessage::split(refused), Error);
  }
}

TEST_CASE("one decoder serves one message after the other") {
  PgoutputDecoder decoder;
  for (int round = 0; round < 2; ++round) {
    for (const Good& message : good_messages()) {
      CAPTURE(message.name);
      CHECK_NOTHROW(decoder.decode(message.bytes));
      CHECK_THROWS_AS(decoder.decode("?"), Error);  // and a bad one leaves it usable
    }
  }
  const std::string update = good("update with key");
  CHECK(std::get<UpdateMessage>(decoder.decode(update)).old_row.size() == 2);
  const std::string plain = good("update");
  CHECK(std::get<UpdateMessage>(decoder.decode(plain)).old_row.empty());
}

TEST_CASE("every truncation of a good message is refused") {
  for (const Good& message : good_messages()) {
    REQUIRE_FALSE(is_refused(message.bytes));
    for (std::size_t size = 0; size < message.bytes.size(); ++size) {
      CAPTURE(message.name, size);
      CHECK(is_refused(message.bytes.substr(0, size)));
    }
  }
}

TEST_CASE("a good message with a byte too many is refused") {
  for (const Good& message : good_messages()) {
    for (const char extra : {'\0', 'N', 'n', '\xFF'}) {
      CAPTURE(message.name, extra);
      CHECK(is_refused(message.bytes + extra));
    }
  }
}

TEST_CASE("an unknown type of message or of column is refused") {
  const std::string known = "BCORYIUDTMSEcA";
  for (int type = 0; type < 256; ++type) {
    const char letter = static_cast<char>(type);
    CAPTURE(type);
    if (known.find(letter) == std::string::npos) {
      CHECK(is_refused(MessageBytes(letter).u64(0).u64(0).u64(0)));
    }
    if (std::string("nutb").find(letter) == std::string::npos) {
      CHECK(is_refused(MessageBytes('I').u32(1).letter('N').u16(1).letter(letter).u32(0)));
    }
    if (letter != 'N') {
      CHECK(is_refused(MessageBytes('I').u32(1).letter(letter).u16(0)));
    }
    if (letter != 'K' && letter != 'O') {
      CHECK(is_refused(MessageBytes('D').u32(1).letter(letter).u16(0)));
      if (letter != 'N') {
        CHECK(is_refused(MessageBytes('U').u32(1).letter(letter).u16(0)));
      }
    }
  }
}

TEST_CASE("an error says what is malformed, at which byte, and nothing of the content") {
  const std::string bytes =
      MessageBytes('I').u32(1).letter('N').u16(1).text_value("secret").raw("secret");
  try {
    const Decoded decoded(bytes);
    FAIL("it was accepted");
  } catch (const Error& error) {
    const std::string what = error.describe();
    CHECK(what.find("malformed pgoutput message") != std::string::npos);
    CHECK(what.find("at byte " + std::to_string(bytes.size() - 6)) != std::string::npos);
    CHECK(what.find("secret") == std::string::npos);
  }
}

TEST_CASE("a count or size that the message does not hold is refused before memory is taken") {
  const std::vector<Good> messages = {
      {"truncate", MessageBytes('T').u32(0xFFFFFFFF).u8(0).u32(1)},
      {"truncate, one too many", MessageBytes('T').u32(3).u8(0).u32(1).u32(2)},
      {"row", MessageBytes('I').u32(1).letter('N').u16(0xFFFF).null_value()},
      {"value", MessageBytes('I').u32(1).letter('N').u16(1).letter('t').u32(0xFFFFFFFF).raw("x")},
      {"binary value", MessageBytes('I').u32(1).letter('N').u16(1).letter('b').u32(0x7FFFFFFF)},
      {"relation", MessageBytes('R').u32(1).string("s").string("t").letter('d').u16(0xFFFF)},
      {"message", MessageBytes('M').u8(0).u64(1).string("p").u32(0xFFFFFFFF).raw("x")},
  };
  for (const Good& message : messages) {
    CAPTURE(message.name);
    test::largest_allocation = 0;
    const bool refused = is_refused(message.bytes);
    const std::size_t largest = test::largest_allocation;
    CHECK(refused);
    CHECK(largest < 4096);
  }
}

// What random bytes make of good messages: accepted or refused, never anything else; and nothing
// that is accepted points outside the message (the address sanitizer watches).
TEST_CASE("no mutation of a message does more than be refused") {
  const std::vector<Good> messages = good_messages();
  std::mt19937 random(20'260'101);
  const auto below = [&](std::size_t bound) { return random() % bound; };
  std::size_t refused = 0;
  std::size_t accepted = 0;
  std::size_t sum = 0;
  PgoutputDecoder decoder;
  for (int round = 0; round < 120'000; ++round) {
    std::string bytes = messages[below(messages.size())].bytes;
    for (std::size_t edits = 1 + below(4); edits > 0 && !bytes.empty(); --edits) {
      const std::size_t at = below(bytes.size());
      switch (below(5)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 2:
          bytes.erase(at, 1 + below(4));
          break;
        case 3:
          bytes.insert(at, 1 + below(4), static_cast<char>(random()));
          break;
        default:
          bytes[at] = below(2) == 0 ? '\0' : '\xFF';
          break;
      }
    }
    const auto exact = std::make_unique<char[]>(bytes.size());
    std::memcpy(exact.get(), bytes.data(), bytes.size());
    try {
      sum += std::visit(Toucher{}, decoder.decode({exact.get(), bytes.size()}));
      ++accepted;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kOperator) {
        FAIL("round " << round << " ended in " << error.what());
      }
      ++refused;
    }
  }
  CHECK(refused > 10'000);  // both ways were taken
  CHECK(accepted > 10'000);
  CHECK(sum > 0);
}

TEST_CASE("the server's time counts from 2000-01-01 and goes both ways") {
  CHECK(from_postgres_time(0) == WallTime{std::chrono::seconds(946'684'800)});
  CHECK(from_postgres_time(-1) == WallTime{std::chrono::microseconds(946'684'799'999'999)});
  CHECK(from_postgres_time(kServerTime) == kTime);
  CHECK(to_postgres_time(kTime) == kServerTime);
  CHECK(to_postgres_time(WallTime{}) == -946'684'800'000'000);
}

TEST_CASE("a time beyond all calendars is no reason to fall over") {
  for (const std::uint64_t time : {0x7FFFFFFFFFFFFFFFU, 0x8000000000000000U}) {
    CHECK_NOTHROW(Decoded(MessageBytes('B').u64(1).u64(time).u32(1)));
  }
}

}  // namespace
}  // namespace headgate::source::postgres
