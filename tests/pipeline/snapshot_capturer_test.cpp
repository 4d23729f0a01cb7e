// The snapshot capturer alone: between a scripted stream and a scripted copy source.

#include "pipeline/snapshot_capturer.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "scripted_capturer.hpp"
#include "scripted_copy_source.hpp"

namespace headgate::pipeline_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Lines = std::vector<std::string>;

TableSchemaPtr numbered(const std::string& name, std::uint32_t id) {
  auto table = std::make_shared<TableSchema>(*schema(name));
  table->source_id = id;
  table->columns[0].family = TypeFamily::kText;
  return table;
}

std::string names(const Transaction& transaction) {
  Lines tables;
  for (const TableSchemaPtr& table : transaction.involved_tables()) {
    tables.push_back(table->name.table);
  }
  return fmt::format("{}", fmt::join(tables, ","));
}

std::string rows(const Transaction& transaction) {
  Lines ids;
  for (const Change& change : transaction.changes()) {
    ids.emplace_back(change.data[0].bytes());
  }
  return fmt::format("[{}]", fmt::join(ids, " "));
}

// A transaction in one line: what it is, and where the sinks stand behind it.
std::string line(const Transaction& transaction) {
  const std::uint64_t end = transaction.end_position.lsn.to_postgres();
  const CopyMark& copy = transaction.copy;
  const char* part = transaction.portion == Portion::kWhole    ? ""
                     : transaction.portion == Portion::kFirst  ? " first"
                     : transaction.portion == Portion::kMiddle ? " middle"
                                                               : " last portion";
  switch (transaction.purpose) {
    case Purpose::kCopyBegin:
      return fmt::format("{} {} at {}", copy.initial ? "first copy of" : "copy of",
                         names(transaction), end);
    case Purpose::kCopyChunk:
      if (copy.gone) {
        return fmt::format("{} is gone at {}", names(transaction), end);
      }
      if (!copy.keys.empty()) {
        return fmt::format("rows of {} at {} {}{}", names(transaction), end, rows(transaction),
                           part);
      }
      return fmt::format("chunk {} of {} at {} {}{}{}", copy.chunk, names(transaction), end,
                         rows(transaction), part, copy.last ? ", all" : "");
    case Purpose::kCopyEnd:
      return fmt::format("copy of {} {} at {}{}", names(transaction),
                         copy.cancelled ? "cancelled" : "ends", end,
                         copy.partial ? ", others go on" : "");
    case Purpose::kChanges:
    case Purpose::kInitialCopy:
      break;
  }
  return fmt::format("{}{}", end, part);
}

// Whatever the stream holds, points are asked for at once.
CopyOptions at_once() {
  CopyOptions options;
  options.catch_up_max = {};
  return options;
}

struct Scene {
  explicit Scene(CopyOptions options = at_once()) : capturer(source, cdc, clock, options, quiet()) {
    source.put(orders, {"a", "b", "c", "d", "e"});
  }

  ~Scene() {
    CHECK(source.misuse == Lines{});
    CHECK(cdc.misuse == Lines{});
  }

  // A first copy, of no sink before.
  void open() {
    StartPoint start;
    start.copy_needed = true;
    capturer.open(start);
  }

  // A sink that stands at `resume` has asked for a fresh copy.
  void open_request(std::uint64_t resume, std::vector<TableName> tables = {}) {
    StartPoint start;
    start.resume = position(resume);
    start.requested.emplace().tables = std::move(tables);
    capturer.open(start);
  }

  // What one fetch hands over.
  Lines fetch(Duration patience = milliseconds(100)) {
    Lines lines;
    const CaptureResult result = capturer.fetch({}, clock.now() + patience);
    for (const TransactionPtr& transaction : result.transactions) {
      lines.push_back(line(*transaction));
    }
    if (!result.next_capturer.empty()) {
      lines.push_back("next: " + result.next_capturer);
    }
    return lines;
  }

  // What some fetches hand over together.
  Lines fetches(std::size_t count) {
    Lines lines;
    while (count-- > 0) {
      const Lines more = fetch();
      lines.insert(lines.end(), more.begin(), more.end());
    }
    return lines;
  }

  // All up to the end of the copy.
  Lines run() {
    Lines lines;
    for (std::size_t tries = 0; tries < 1000; ++tries) {
      const Lines more = fetch();
      lines.insert(lines.end(), more.begin(), more.end());
      if (!lines.empty() && lines.back().starts_with("next: ")) {
        return lines;
      }
    }
    FAIL("the copy never ends");
    return lines;
  }

  ManualClock clock;
  ScriptedCapturer cdc{"cdc", clock};
  ScriptedCopySource source{clock};
  SnapshotCapturer capturer;
  TableSchemaPtr orders = numbered("orders", 7);
};

CopyOptions chunks_of(std::size_t rows) {
  CopyOptions options = at_once();
  options.chunk_rows = rows;
  return options;
}

TEST_CASE("a first copy begins at its first point and ends where its last chunk stands") {
  Scene scene(chunks_of(2));
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.run() == Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a b]",
                             "chunk 2 of orders at 100 [c d]", "chunk 3 of orders at 100 [e], all",
                             "copy of orders ends at 100", "next: cdc"});
  REQUIRE(scene.cdc.opened.size() == 1);
  CHECK(scene.cdc.opened[0].resume == position(100));
  CHECK(scene.source.requests == 1);
  CHECK_FALSE(scene.source.has_point());
}

TEST_CASE("an empty table and a table without a key are one chunk each") {
  Scene scene(chunks_of(2));
  auto keyless = std::make_shared<TableSchema>(*numbered("journal", 8));
  keyless->key.clear();
  scene.source.put(scene.orders, {});
  scene.source.put(keyless, {"x", "x", "y"});
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.run() == Lines{"first copy of orders,journal at 100",
                             "chunk 1 of orders at 100 [], all",
                             "chunk 1 of journal at 100 [x x y], all",
                             "copy of orders,journal ends at 100", "next: cdc"});
}

TEST_CASE("a chunk stands behind what was committed before its point, and before all the rest") {
  Scene scene;
  scene.open_request(100);
  scene.source.answer(position(130));
  scene.cdc.reply({whole(110, scene.orders), whole(130, scene.orders), whole(140, scene.orders)});
  CHECK(scene.run() == Lines{"copy of orders at 100", "110", "130",
                             "chunk 1 of orders at 130 [a b c d e], all",
                             "copy of orders ends at 130", "next: cdc"});
}

TEST_CASE("what was read of the stream behind the point comes after the chunk") {
  Scene scene(chunks_of(3));
  scene.open_request(100);
  scene.source.answer(position(130));
  scene.source.answer(position(150));
  scene.cdc.reply({whole(110, scene.orders), whole(140, scene.orders), whole(150, scene.orders)});
  scene.source.hide_next_chunk();
  CHECK(scene.run() ==
        Lines{"copy of orders at 100", "110", "140", "150", "chunk 1 of orders at 150 [a b c]",
              "chunk 2 of orders at 150 [d e], all", "copy of orders ends at 150", "next: cdc"});
}

TEST_CASE("a chunk never stands within a large transaction") {
  Scene scene;
  scene.open_request(100);
  scene.source.answer(position(130));
  auto large = portions(130, scene.orders, {1, 1, 1});
  scene.cdc.reply({large[0]});
  scene.cdc.reply({});
  scene.cdc.reply({large[1], large[2], whole(140, scene.orders)});
  CHECK(scene.run() == Lines{"copy of orders at 100", "0 first", "0 middle", "130 last portion",
                             "chunk 1 of orders at 130 [a b c d e], all",
                             "copy of orders ends at 130", "next: cdc"});
}

TEST_CASE("a point that the stream has reached without a transaction at it is a point as well") {
  Scene scene;
  scene.open_request(100);
  scene.source.answer(position(130));
  scene.cdc.reply({whole(110, scene.orders)});
  CHECK(scene.fetches(4) == Lines{"copy of orders at 100", "110"});
  scene.cdc.reached = LSN::from_postgres(129);
  CHECK(scene.fetch() == Lines{});
  scene.cdc.reached = LSN::from_postgres(130);
  CHECK(scene.run() == Lines{"chunk 1 of orders at 130 [a b c d e], all",
                             "copy of orders ends at 130", "next: cdc"});
}

TEST_CASE("while a point is pending, nothing of the stream is handed over") {
  Scene scene(chunks_of(3));
  scene.open_request(100);
  scene.source.answer(position(100));
  scene.source.answer(position(130), seconds(1));
  scene.source.hide_next_chunk();
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  scene.cdc.reply({whole(120, scene.orders), whole(130, scene.orders)});
  const std::size_t fetches = scene.cdc.fetches;
  for (int i = 0; i < 8; ++i) {
    CHECK(scene.fetch() == Lines{});
  }
  CHECK(scene.cdc.fetches <= fetches + 1);
  CHECK(scene.cdc.keep_alives > 0);
  CHECK(scene.run() == Lines{"120", "130", "chunk 1 of orders at 130 [a b c]",
                             "chunk 2 of orders at 130 [d e], all", "copy of orders ends at 130",
                             "next: cdc"});
}

TEST_CASE("where the stream cannot pass a point that is pending, it goes on") {
  Scene scene(chunks_of(3));
  scene.source.waits.holds_stream = false;
  scene.open_request(100);
  scene.source.answer(position(100));
  scene.source.answer(position(130), seconds(1));
  scene.source.hide_next_chunk();
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  scene.cdc.reply({whole(120, scene.orders)});
  Lines lines;
  while (lines.empty()) {
    lines = scene.fetch(milliseconds(50));
  }
  CHECK(lines == Lines{"120"});
  CHECK_FALSE(scene.source.has_point());
  scene.cdc.reply({whole(130, scene.orders)});
  CHECK(scene.run() == Lines{"130", "chunk 1 of orders at 130 [a b c]",
                             "chunk 2 of orders at 130 [d e], all", "copy of orders ends at 130",
                             "next: cdc"});
}

TEST_CASE("what only a person can mend stops a first copy, and makes a later one wait") {
  Scene scene(chunks_of(3));
  scene.source.waits = {false, "locks are in the way", "unlock", true};
  SECTION("a first one") {
    scene.open();
    try {
      scene.fetch();
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kOperator);
      CHECK_THAT(error.describe(),
                 Catch::Contains("locks are in the way") && Catch::Contains("unlock"));
    }
  }
  SECTION("a later one") {
    scene.open_request(100);
    CHECK(scene.fetch() == Lines{"copy of orders at 100"});
    scene.cdc.reply({whole(120, scene.orders)});
    Lines lines;
    while (lines.empty()) {
      lines = scene.fetch(milliseconds(50));
    }
    CHECK(lines == Lines{"120"});
    const std::size_t requests = scene.source.requests;
    const TimePoint until = scene.clock.now() + seconds(20);
    while (scene.clock.now() < until) {
      CHECK(scene.fetch(milliseconds(100)) == Lines{});
    }
    CHECK(scene.source.requests > requests + 5);
    CHECK(scene.source.requests < requests + 15);  // not all the time

    scene.source.waits.for_person = false;
    scene.source.answer(position(120));
    CHECK(scene.run() == Lines{"chunk 1 of orders at 120 [a b c]",
                               "chunk 2 of orders at 120 [d e], all", "copy of orders ends at 120",
                               "next: cdc"});
  }
}

TEST_CASE("a copy that is paused lets go of the point that it waits for") {
  Scene scene(chunks_of(3));
  scene.source.waits.holds_stream = false;
  scene.open_request(100);
  scene.source.answer(position(100));
  scene.source.answer(position(130), seconds(1000));
  scene.source.hide_next_chunk();
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  while (scene.source.requests < 2) {
    CHECK(scene.fetch() == Lines{});
  }
  const std::size_t closes = scene.source.closes;
  scene.capturer.pause(true);
  CHECK(scene.fetch() == Lines{});
  CHECK(scene.source.closes == closes + 1);
}

TEST_CASE("rows that a point cannot tell are left out of their chunks, and read at the next one") {
  Scene scene(chunks_of(3));
  scene.source.unknown = {"b", "e"};
  scene.open();
  for (const std::uint64_t at : {100U, 110U, 120U}) {
    scene.source.answer(position(at));
  }
  CHECK(scene.fetches(3) == Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a c]",
                                  "chunk 2 of orders at 100 [d], all"});
  CHECK(scene.fetch() == Lines{});  // nothing more at this one
  scene.source.unknown = {"e"};
  scene.cdc.reply({whole(110, scene.orders)});
  CHECK(scene.fetches(2) == Lines{"110", "rows of orders at 110 [b]"});
  scene.source.unknown.clear();
  scene.cdc.reply({whole(120, scene.orders)});
  CHECK(scene.run() ==
        Lines{"120", "rows of orders at 120 [e]", "copy of orders ends at 120", "next: cdc"});
}

TEST_CASE("a point that is late is given up, and the stream goes on before the next attempt") {
  CopyOptions options = at_once();
  options.point_wait_max = seconds(2);
  Scene scene(options);
  scene.open_request(100);
  scene.source.answer(position(100));
  scene.source.answer(position(110), seconds(60));
  scene.source.answer(position(150));
  scene.source.hide_next_chunk();
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  while (scene.source.requests < 2) {
    CHECK(scene.fetch() == Lines{});
  }
  const TimePoint asked = scene.clock.now();
  scene.cdc.reply({whole(120, scene.orders)});
  Lines lines;
  while (lines.empty()) {
    lines = scene.fetch();
  }
  CHECK(lines == Lines{"120"});
  CHECK(scene.clock.now() - asked >= seconds(2) - milliseconds(100));
  CHECK(scene.clock.now() - asked <= seconds(3));
  scene.cdc.reply({whole(150, scene.orders)});
  CHECK(scene.run() == Lines{"150", "chunk 1 of orders at 150 [a b c d e], all",
                             "copy of orders ends at 150", "next: cdc"});
  CHECK(scene.source.requests == 3);
}

TEST_CASE("chunks of one point take no longer than a round, and then the stream has its turn") {
  CopyOptions options = chunks_of(1);
  options.round_max = milliseconds(250);
  Scene scene(options);
  scene.source.time_per_read = milliseconds(100);
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(4) == Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a]",
                                  "chunk 2 of orders at 100 [b]", "chunk 3 of orders at 100 [c]"});
  scene.source.answer(position(120));
  scene.cdc.reply({whole(110, scene.orders), whole(120, scene.orders)});
  CHECK(scene.run() == Lines{"110", "120", "chunk 4 of orders at 120 [d]",
                             "chunk 5 of orders at 120 [e], all", "copy of orders ends at 120",
                             "next: cdc"});
}

TEST_CASE("with a rate, chunks wait for their time, and the stream does not") {
  CopyOptions options = chunks_of(1);
  options.bytes_per_second_max = 1;
  Scene scene(options);
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) == Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a]"});
  scene.cdc.reply({whole(110, scene.orders)});
  CHECK(scene.fetch() == Lines{"110"});
  scene.source.answer(position(110));
  for (int i = 0; i < 20; ++i) {
    CHECK(scene.fetch() == Lines{});
  }
  CHECK(scene.source.requests == 1);
  scene.clock.advance(std::chrono::hours(10));
  CHECK(scene.fetch() == Lines{"chunk 2 of orders at 110 [b]"});
}

TEST_CASE("a chunk that comes in parts is one transaction in portions") {
  Scene scene(chunks_of(4));
  scene.source.rows_per_read = 2;
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.run() == Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a b] first",
                             "chunk 1 of orders at 100 [c d] last portion",
                             "chunk 2 of orders at 100 [e], all", "copy of orders ends at 100",
                             "next: cdc"});
}

TEST_CASE("a copy goes on behind the cursor that the sinks have") {
  Scene scene(chunks_of(2));
  StartPoint start;
  start.resume = position(100);
  TableRecord& record = start.copies.emplace_back();
  record.source = *scene.orders;
  record.copy.emplace();
  record.copy->chunks = 2;
  record.copy->cursor = {"d"};
  record.copy->rows = 4;
  scene.capturer.open(start);
  scene.source.answer(position(100));
  CHECK(scene.run() ==
        Lines{"chunk 3 of orders at 100 [e], all", "copy of orders ends at 100", "next: cdc"});
}

TEST_CASE("a copy whose tables were all complete only ends") {
  Scene scene;
  StartPoint start;
  start.resume = position(100);
  TableRecord& record = start.copies.emplace_back();
  record.source = *scene.orders;
  record.copy.emplace();
  record.copy->chunks = 2;
  record.copy->complete = true;
  scene.capturer.open(start);
  CHECK(scene.run() == Lines{"copy of orders ends at 100", "next: cdc"});
  CHECK(scene.source.requests == 0);
}

TEST_CASE("a table that is altered meanwhile is copied from its start again") {
  Scene scene(chunks_of(3));
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) ==
        Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a b c]"});
  auto altered = std::make_shared<TableSchema>(*scene.orders);
  altered->columns[0].name = "number";

  SECTION("as the stream says") {
    scene.source.hide_next_chunk();
    scene.source.answer(position(110));
    scene.cdc.reply({whole(110, altered)});
    CHECK(scene.fetch() == Lines{"110"});
    scene.source.put(altered, {"a", "f"});
    CHECK(scene.run() ==
          Lines{"chunk 1 of orders at 110 [a f], all", "copy of orders ends at 110", "next: cdc"});
  }
  SECTION("as the next point says, and the stream does not yet") {
    scene.source.hide_next_chunk();
    scene.source.answer(position(110));
    scene.cdc.reply({empty(110)});
    CHECK(scene.fetch() == Lines{"110"});
    scene.source.put(altered, {"a", "f"});
    CHECK(scene.run() ==
          Lines{"chunk 1 of orders at 110 [a f], all", "copy of orders ends at 110", "next: cdc"});
  }
}

// Its old row may not be copied yet, and the sink would have nothing to move.
TEST_CASE("a row that was moved without its large values is read again") {
  Scene scene(chunks_of(3));
  auto wide = std::make_shared<TableSchema>(*scene.orders);
  wide->columns.emplace_back();
  wide->columns[1].name = "notes";
  scene.source.put(wide, {"a", "b", "c", "d", "e"});
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) ==
        Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a b c]"});
  scene.source.hide_next_chunk();
  auto moved = std::make_shared<Transaction>("110", LSN::from_postgres(109), WallTime{});
  const std::vector<Value> before{Value::text("z"), Value::null()};
  const std::vector<Value> data{Value::text("b"), Value::unchanged()};
  moved->add_change(wide, Operation::kUpdateAfter, moved->copy_row(data), moved->copy_row(before));
  moved->end_position = position(110);
  scene.source.answer(position(110));
  scene.cdc.reply({moved});
  CHECK(scene.fetch() == Lines{"110"});
  CHECK(scene.run() == Lines{"rows of orders at 110 [b]", "chunk 2 of orders at 110 [d e], all",
                             "copy of orders ends at 110", "next: cdc"});
}

TEST_CASE("a table that is gone is not waited for") {
  Scene scene(chunks_of(3));
  scene.source.put(numbered("parts", 9), {"p"});
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) ==
        Lines{"first copy of orders,parts at 100", "chunk 1 of orders at 100 [a b c]"});
  scene.source.hide_next_chunk();
  CHECK(scene.fetch() == Lines{"chunk 1 of parts at 100 [p], all"});
  scene.source.answer(position(110));
  scene.cdc.reply({empty(110)});
  CHECK(scene.fetch() == Lines{"110"});
  scene.source.drop(scene.orders);
  CHECK(scene.run() == Lines{"orders is gone at 110", "copy of parts ends at 110", "next: cdc"});
}

TEST_CASE("a table that a point does not show holds up no other table at it") {
  Scene scene(chunks_of(3));
  scene.source.put(numbered("parts", 9), {"p"});
  scene.open_request(100);
  scene.source.answer(position(100));
  scene.source.answer(position(110));
  const bool late = GENERATE(false, true);
  (late ? scene.source.refused_late : scene.source.refused).insert(7);
  CHECK(scene.fetches(2) ==
        Lines{"copy of orders,parts at 100", "chunk 1 of parts at 100 [p], all"});
  scene.source.refused.clear();
  scene.source.refused_late.clear();
  scene.cdc.reply({empty(110)});
  CHECK(scene.run() == Lines{"110", "chunk 1 of orders at 110 [a b c]",
                             "chunk 2 of orders at 110 [d e], all",
                             "copy of orders,parts ends at 110", "next: cdc"});
  CHECK(scene.source.wanted == std::vector<std::vector<std::uint32_t>>{{7, 9}, {7}});
}

TEST_CASE("a table that no point shows is told, left behind by the others, and comes later") {
  CopyOptions options = chunks_of(3);
  options.refusals_told = 2;
  options.refusals_max = 4;
  Scene scene(options);
  scene.source.put(numbered("parts", 9), {"p"});
  scene.source.refused.insert(7);
  scene.open();
  scene.source.answer(position(100));
  for (std::uint64_t at = 110; at <= 150; at += 10) {
    scene.source.answer(position(at));
    scene.cdc.reply({empty(at)});
  }
  CHECK(scene.fetches(2) ==
        Lines{"first copy of orders,parts at 100", "chunk 1 of parts at 100 [p], all"});
  const auto told = [&] {
    const auto progress = scene.capturer.progress();
    const auto found = progress.find("waiting");
    return found == progress.end() ? "" : found->second;
  };
  CHECK(told().empty());
  CHECK(scene.fetch() == Lines{"110"});
  CHECK(scene.fetches(2) == Lines{"120", "130"});
  CHECK(told() == "shop.orders: hidden by the test; show it");
  CHECK(scene.fetch() == Lines{"copy of parts ends at 130, others go on"});
  CHECK(scene.fetch() == Lines{"140"});
  scene.source.refused.clear();
  CHECK(scene.run() == Lines{"chunk 1 of orders at 140 [a b c]",
                             "chunk 2 of orders at 140 [d e], all", "copy of orders ends at 140",
                             "next: cdc"});
  CHECK(told().empty());
}

TEST_CASE("a copy that is paused between two points keeps nothing at the source") {
  Scene scene(chunks_of(3));
  scene.open_request(100);
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  std::size_t closes = scene.source.closes;
  scene.capturer.pause(true);
  CHECK(scene.source.closes == closes + 1);
  scene.capturer.pause(true);
  CHECK(scene.source.closes == closes + 1);
  scene.capturer.pause(false);

  scene.source.answer(position(100));
  CHECK(scene.fetch() == Lines{"chunk 1 of orders at 100 [a b c]"});
  closes = scene.source.closes;
  scene.capturer.pause(true);
  CHECK(scene.fetch() == Lines{});
  CHECK(scene.source.closes == closes + 1);
}

TEST_CASE("only the tables that were asked for are copied") {
  Scene scene;
  const TableSchemaPtr parts = numbered("parts", 9);
  scene.source.put(parts, {"p"});
  scene.open_request(100, {parts->name});
  scene.source.answer(position(100));
  CHECK(scene.run() == Lines{"copy of parts at 100", "chunk 1 of parts at 100 [p], all",
                             "copy of parts ends at 100", "next: cdc"});
}

TEST_CASE("a paused copy reads only the stream") {
  Scene scene(chunks_of(3));
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) ==
        Lines{"first copy of orders at 100", "chunk 1 of orders at 100 [a b c]"});
  scene.capturer.pause(true);
  scene.source.answer(position(110));
  scene.cdc.reply({whole(110, scene.orders)});
  CHECK(scene.fetch() == Lines{"110"});
  for (int i = 0; i < 50; ++i) {
    CHECK(scene.fetch() == Lines{});
  }
  CHECK(scene.source.requests == 1);
  CHECK_FALSE(scene.source.has_point());
  CHECK(scene.capturer.progress().at("paused") == "yes");
  scene.capturer.pause(false);
  CHECK(scene.run() ==
        Lines{"chunk 2 of orders at 110 [d e], all", "copy of orders ends at 110", "next: cdc"});
}

TEST_CASE("a cancelled copy ends behind the chunk that is read") {
  Scene scene(chunks_of(4));
  scene.source.rows_per_read = 2;
  scene.open_request(100);
  scene.source.answer(position(100));
  CHECK(scene.fetches(2) == Lines{"copy of orders at 100", "chunk 1 of orders at 100 [a b] first"});
  scene.capturer.cancel();
  CHECK(scene.run() == Lines{"chunk 1 of orders at 100 [c d] last portion",
                             "copy of orders cancelled at 100", "next: cdc"});
}

// It was meant for a fresh copy that ran when it was said. Since then the pipeline has begun again,
// and a sink has lost all, or is new.
TEST_CASE("a first copy is not cancelled") {
  Scene scene;
  scene.open();
  scene.capturer.cancel();
  scene.source.answer(position(100));
  CHECK(scene.run() == Lines{"first copy of orders at 100",
                             "chunk 1 of orders at 100 [a b c d e], all",
                             "copy of orders ends at 100", "next: cdc"});
}

// The sinks alone know how far the copy is.
TEST_CASE("whatever call loses the source, everything begins again from the sinks") {
  Scene scene(chunks_of(3));
  const std::string call =
      GENERATE("request_point", "point", "tables", "begin_chunk", "read", "fetch", "open");
  CAPTURE(call);
  if (call == "fetch") {
    scene.open_request(100);
    scene.cdc.fail_fetch(ErrorKind::kTransient);
    scene.source.answer(position(110));
  } else {
    scene.open();
    scene.source.answer(position(100));
    if (call == "open") {
      scene.cdc.fail_open(ErrorKind::kTransient);
    } else {
      scene.source.fail(call, ErrorKind::kTransient);
    }
  }
  ErrorKind kind = ErrorKind::kOperator;
  try {
    scene.run();
  } catch (const Error& error) {
    kind = error.kind();
  }
  CHECK(kind == ErrorKind::kReread);
}

TEST_CASE("what a person must mend stays what it is") {
  Scene scene;
  scene.open();
  scene.source.answer(position(100));
  scene.source.fail("begin_chunk", ErrorKind::kOperator);
  ErrorKind kind = ErrorKind::kReread;
  try {
    scene.run();
  } catch (const Error& error) {
    kind = error.kind();
  }
  CHECK(kind == ErrorKind::kOperator);
}

TEST_CASE("without room, a fetch only says that we live") {
  Scene scene;
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetch() == Lines{"first copy of orders at 100"});
  FetchLimits none;
  none.transactions_max = 0;
  CHECK(scene.capturer.fetch(none, scene.clock.now()).transactions.empty());
  CHECK(scene.cdc.keep_alives == 1);
}

TEST_CASE("progress is told by tables and rows") {
  Scene scene(chunks_of(3));
  scene.source.put(numbered("parts", 9), {"p"});
  scene.open();
  scene.source.answer(position(100));
  scene.fetches(2);
  auto told = scene.capturer.progress();
  CHECK(told.at("tables") == "0 of 2");
  CHECK(told.at("rows") == "3");
  CHECK(told.at("rows_estimate") == "6");
  CHECK(told.at("table") == "shop.orders");
  CHECK(told.at("copy") == "first");
  scene.fetches(2);
  told = scene.capturer.progress();
  CHECK(told.at("tables") == "2 of 2");
  CHECK(told.at("rows") == "6");
  CHECK_FALSE(told.contains("table"));
}

TEST_CASE("of each table is told how far it is, and how long it will take") {
  CopyOptions options = chunks_of(3);
  options.round_max = seconds(60);
  Scene scene(options);
  scene.source.put(numbered("parts", 9), {"p"});
  scene.source.time_per_read = seconds(3);
  scene.open();
  scene.source.answer(position(100));
  scene.fetches(2);
  auto told = scene.capturer.progress();
  CHECK_THAT(told.at("table shop.orders"),
             Catch::StartsWith("rows=3 rows_estimate=5 percent=60 bytes=") &&
                 Catch::EndsWith(" seconds_left=2 state=reads"));
  CHECK_THAT(told.at("table shop.parts"), Catch::EndsWith(" bytes=0 state=waits"));
  CHECK(told.at("seconds_left") == "3");
  scene.fetches(2);
  told = scene.capturer.progress();
  CHECK_THAT(
      told.at("table shop.orders"),
      Catch::StartsWith("rows=5 rows_estimate=5 percent=100 ") && Catch::EndsWith(" state=read"));
}

TEST_CASE("of a copy that goes on, the source is asked how much is left") {
  Scene scene(chunks_of(3));
  StartPoint start;
  start.resume = position(100);
  TableRecord& record = start.copies.emplace_back();
  record.source = *scene.orders;
  record.copy.emplace();
  record.copy->rows = 3;
  record.copy->chunks = 1;
  record.copy->cursor = {"c"};
  scene.capturer.open(start);
  CHECK_THAT(scene.capturer.progress().at("table shop.orders"),
             Catch::StartsWith("rows=3 rows_estimate=3 "));
  scene.source.answer(position(100));
  CHECK(scene.fetch() == Lines{"chunk 2 of orders at 100 [d e], all"});
  CHECK(scene.capturer.progress().at("rows_estimate") == "5");
}

TEST_CASE("a stream that is behind catches up before the first point is asked for, up to a limit") {
  CopyOptions options = chunks_of(10);
  options.catch_up_max = seconds(60);
  Scene scene(options);
  scene.open_request(100);
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  const std::string end = GENERATE("empty", "recent", "late");
  CAPTURE(end);
  std::uint64_t at = 110;
  for (; at < 150; at += 10) {
    scene.cdc.reply({whole(at, scene.orders)});
    CHECK(scene.fetch() == Lines{std::to_string(at)});
  }
  CHECK(scene.source.requests == 0);
  CHECK(scene.capturer.progress().contains("catching_up"));
  if (end == "late") {
    scene.clock.advance(seconds(60));
  } else if (end == "recent") {
    const auto recent = std::make_shared<Transaction>("recent", LSN::from_postgres(at), WallTime{});
    recent->end_position = position(at);
    recent->set_commit_time(scene.clock.wall_now());
    scene.cdc.reply({recent});
    CHECK(scene.fetch() == Lines{std::to_string(at)});
    at += 10;
  }
  scene.source.answer(position(at));
  scene.cdc.reply({whole(at, scene.orders)});
  CHECK(scene.run() == Lines{std::to_string(at),
                             fmt::format("chunk 1 of orders at {} [a b c d e], all", at),
                             fmt::format("copy of orders ends at {}", at), "next: cdc"});
  CHECK(scene.source.requests == 1);
  CHECK_FALSE(scene.capturer.progress().contains("catching_up"));
}

TEST_CASE("a stream that comes late to its points leaves the copy as much time as it took") {
  CopyOptions options = chunks_of(1);
  options.round_max = seconds(1);
  Scene scene(options);
  scene.source.time_per_read = seconds(2);
  scene.open_request(100);
  scene.source.answer(position(130));
  scene.source.answer(position(150));
  CHECK(scene.fetch() == Lines{"copy of orders at 100"});
  for (const std::uint64_t at : {110U, 120U, 130U}) {
    scene.clock.advance(seconds(2));
    scene.cdc.reply({whole(at, scene.orders)});
    CHECK(scene.fetch() == Lines{std::to_string(at)});
  }
  // Four seconds have gone since the point came: two chunks at two seconds each.
  scene.cdc.reply({whole(140, scene.orders)});
  CHECK(scene.fetches(3) ==
        Lines{"chunk 1 of orders at 130 [a]", "chunk 2 of orders at 130 [b]", "140"});
}

TEST_CASE("a first point that is late does not hold up sinks that stream") {
  Scene scene;
  scene.open_request(100);
  scene.source.answer(position(110), std::chrono::hours(10));
  scene.cdc.reply({whole(110, scene.orders)});
  Lines lines;
  for (int i = 0; i < 100 && lines.size() < 2; ++i) {
    const Lines more = scene.fetch();
    lines.insert(lines.end(), more.begin(), more.end());
  }
  CHECK(lines == Lines{"copy of orders at 100", "110"});
}

TEST_CASE("a connection lost in a keep-alive begins again from the sinks, too") {
  Scene scene;
  scene.open();
  scene.source.answer(position(100));
  CHECK(scene.fetch() == Lines{"first copy of orders at 100"});
  scene.cdc.fail_keep_alive(ErrorKind::kTransient);
  ErrorKind kind = ErrorKind::kOperator;
  try {
    scene.capturer.keep_alive();
  } catch (const Error& error) {
    kind = error.kind();
  }
  CHECK(kind == ErrorKind::kReread);
}

// A standby was promoted, and only the copy source has noticed.
TEST_CASE("a point of another history than the stream's is none") {
  Scene scene;
  scene.open_request(100);
  scene.source.answer(position(100, "test:2"));
  ErrorKind kind = ErrorKind::kOperator;
  try {
    scene.run();
  } catch (const Error& error) {
    kind = error.kind();
  }
  CHECK(kind == ErrorKind::kReread);
}

}  // namespace
}  // namespace headgate::pipeline_test
