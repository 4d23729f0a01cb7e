// What ApplyStep does while nothing fails: positions, durability, skipping, portions, drain.

#include "pipeline/apply_step.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "apply_fixture.hpp"

namespace headgate::pipeline_test {
namespace {

using Call = FakeSink::Call;
using Kind = StepOutcome::Kind;
using Rows = std::vector<std::string>;
using Sizes = std::vector<std::size_t>;

const TableSchemaPtr kOrders = schema("orders");
const TableSchemaPtr kItems = schema("items");

TEST_CASE("a step begins by connecting and says where the sink stands") {
  Lane lane;
  lane.sink.start_at(position(100));
  CHECK_FALSE(lane.apply().connected());
  CHECK(lane.step().kind == Kind::kWorked);
  CHECK(lane.apply().connected());
  CHECK(lane.apply().position() == position(100));
  const SinkStatus status = lane.status();
  CHECK(status.state == "streaming");
  CHECK(status.applied == position(100));
  CHECK(status.durable == position(100));  // connect() committed durably
}

TEST_CASE("a sink without a position is copying until its first copy is committed") {
  Lane lane;
  lane.step();
  CHECK(lane.status().state == "copying");
  CHECK(lane.status().applied.empty());
  const auto copy = copy_of(100, kOrders, {2, 1});
  lane.push(copy[0]);
  lane.run_until_idle();
  CHECK(lane.status().state == "copying");
  lane.push(copy[1]);
  lane.run_until_idle();
  CHECK(lane.status().state == "streaming");
  CHECK(lane.apply().position() == position(100));
  CHECK(lane.sink.rows() == ids(100, 3));
}

TEST_CASE("data and position are committed together, and the commit time with them") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders, 2));
  lane.run_until_idle();
  REQUIRE(lane.sink.commits().size() == 1);
  CHECK(lane.sink.commits()[0].rows == ids(110, 2));
  CHECK(lane.sink.commits()[0].mark.position == position(110));
  CHECK(lane.sink.commits()[0].mark.commit_time == WallTime{std::chrono::seconds(110)});
}

TEST_CASE("an empty transaction moves the position, writes nothing and is not counted") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  const SinkStatus before = lane.status();
  lane.clock.advance(std::chrono::seconds(5));
  lane.push(empty(120));
  lane.run_until_idle();
  CHECK(lane.sink.current() == position(120));
  CHECK(lane.sink.commit_sizes() == Sizes{1, 0});
  CHECK(lane.sink.count(Call::kWrite) == 1);
  const SinkStatus after = lane.status();
  CHECK(after.applied == position(120));
  CHECK(after.transactions == 1);
  CHECK(after.last_commit_time == before.last_commit_time);
  CHECK(after.applied_at == before.applied_at);
}

TEST_CASE("status counts what was applied") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders, 2));
  lane.push(whole(120, kItems, 3));
  lane.push(portions(130, kOrders, {1, 2, 3}));
  lane.run_until_idle();
  const SinkStatus status = lane.status();
  CHECK(status.transactions == 3);
  CHECK(status.changes == 11);
  CHECK(status.batches == 2);
  CHECK(status.skipped == 0);
  CHECK(status.last_commit_time == WallTime{});  // the portions in this test carry none
  CHECK(status.applied_at == lane.clock.wall_now());
}

TEST_CASE("a table is prepared once per connection, within the transaction of its first rows") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.push(whole(120, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kPrepareTable) == 1);
  lane.push(whole(130, kItems));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kPrepareTable) == 2);
  lane.sink.cut_power();
  lane.push(whole(140, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kPrepareTable) == 3);
  CHECK(lane.sink.count(Call::kPrepareCopy) == 0);
}

TEST_CASE("a missing table is created while the first copy is not finished, and never later") {
  Lane lane;
  lane.push(copy_of(100, kOrders, {1, 1}));
  lane.push(whole(110, kItems));
  lane.run_until_idle();
  CHECK(lane.sink.missing_tables() == std::vector{MissingTable::kCreate, MissingTable::kRefuse});
}

TEST_CASE("a table that would come back as a change is refused before anything is written") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.apply().refuse_tables([](const TableName& table) { return table.table == "items"; });
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.push(whole(120, kOrders));
  lane.push(whole(130, kItems));
  CHECK(lane.run_until_error() == ErrorKind::kOperator);
  CHECK(lane.sink.rows() == ids(110));
  CHECK(lane.status().error.find("shop.items") != std::string::npos);
}

// As a source tells of tables that were altered and have no new rows. Rows that come behind it in
// the same batch touch the tables in an order of their own.
TEST_CASE("tables that are described before their rows come are ready for each of them") {
  Lane lane;
  lane.sink.start_at(position(100));
  auto told = std::make_shared<Transaction>("", LSN::from_postgres(105), WallTime{});
  told->end_position = position(105);
  told->involve(kItems);
  told->involve(kOrders);
  lane.push(TransactionPtr(told));
  lane.push(whole(110, kOrders));
  lane.push(whole(120, kItems));
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(110) + ids(120));
  CHECK(lane.sink.misuse().empty());
  CHECK(lane.sink.count(Call::kPrepareTable) == 2);
}

TEST_CASE("each table of a copy is prepared for it once, also when empty or spread over portions") {
  ApplyOptions options;
  options.existing_rows = ExistingRows::kReplace;
  Lane lane(options);
  auto copy = copy_of(100, kOrders, {2, 0, 2});
  auto first = std::make_shared<Transaction>("copy", LSN::from_postgres(100), WallTime{});
  first->purpose = Purpose::kInitialCopy;
  first->portion = Portion::kFirst;
  first->end_position = position(100);
  first->involve(kOrders);
  first->involve(kItems);
  add_inserts(*first, kOrders, 100, 2);
  copy[0] = first;
  lane.push(copy);
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(100, 4));
  CHECK(lane.sink.count(Call::kPrepareTable) == 2);
  CHECK(lane.sink.existing_rows() ==
        std::vector<ExistingRows>{ExistingRows::kReplace, ExistingRows::kReplace});
  CHECK(lane.sink.count(Call::kWrite) == 0);
  CHECK(lane.sink.count(Call::kCopy) == 2);  // a portion without rows writes none
}

TEST_CASE("portions become one sink transaction that shows nothing before its end") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  const auto large = portions(120, kOrders, {2, 3, 1});
  lane.push(large[0]);
  lane.push(large[1]);
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{1});
  CHECK(lane.sink.in_transaction());
  CHECK(lane.status().applied == position(110));
  lane.push(large[2]);
  lane.push(whole(130, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{1, 6, 1});
  CHECK(lane.sink.rows() == ids(110) + ids(120, 6) + ids(130));
  CHECK(lane.sink.count(Call::kBegin) == 3);
}

// A server ends sessions that are idle within a transaction, and the next portion may take its
// time.
TEST_CASE("a sink that waits for the next portion hears of us") {
  Lane lane;
  lane.sink.start_at(position(100));
  const auto large = portions(120, kOrders, {2, 3});
  lane.push(large[0]);
  lane.run_until_idle();
  CHECK(lane.sink.keep_alives() == 0);
  for (int minute_sixths = 1; minute_sixths <= 12; ++minute_sixths) {
    const StepOutcome outcome = lane.run_until_idle();
    REQUIRE(outcome.kind == Kind::kWaiting);
    CHECK(outcome.wake_at <= lane.clock.now() + std::chrono::seconds(10));
    lane.clock.advance_to(outcome.wake_at);
  }
  CHECK(lane.sink.keep_alives() == 11);
  lane.push(large[1]);
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{5});
  lane.clock.advance(std::chrono::minutes(1));
  lane.run_until_idle();
  CHECK(lane.sink.keep_alives() == 11);  // nothing is open
}

TEST_CASE("a large transaction whose last portion is empty is committed by it") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(portions(110, kOrders, {2, 0}));
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{2});
  CHECK(lane.sink.current() == position(110));
  CHECK(lane.status().transactions == 1);
}

TEST_CASE("what the sink holds already is skipped and counted") {
  Lane lane;
  lane.sink.start_at(position(120));
  lane.push(whole(110, kOrders));
  lane.push(portions(115, kOrders, {1, 1, 1}));
  lane.push(whole(120, kOrders));
  lane.push(portions(130, kOrders, {1, 2}));
  lane.push(whole(140, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(130, 3) + ids(140));
  CHECK(lane.status().skipped == 3);
  CHECK(lane.status().transactions == 2);
  CHECK(lane.sink.count(Call::kBegin) == 2);
}

TEST_CASE("only a sink without a position takes a copy") {
  Lane lane;
  const bool holds_position = GENERATE(false, true);
  CAPTURE(holds_position);
  if (holds_position) {
    lane.sink.start_at(position(90));
  }
  lane.push(copy_of(100, kOrders, {2, 2}));
  lane.push(whole(95, kOrders));  // committed before the copy's snapshot: in the copy
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.rows() == (holds_position ? ids(95) + ids(110) : ids(100, 4) + ids(110)));
  CHECK(lane.status().skipped == 1);
  CHECK(lane.sink.current() == position(110));
}

TEST_CASE("a commit that is durable by itself is reported so at once, and never flushed") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  CHECK(lane.status().durable == position(110));
  lane.clock.advance(std::chrono::minutes(1));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kFlush) == 0);
}

TEST_CASE("a commit that is not durable by itself becomes so by a flush, once per interval") {
  ApplyOptions options;
  options.flush_interval = std::chrono::seconds(3);
  Lane lane(options);
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.step();
  const TimePoint connected_at = lane.clock.now();

  lane.push(whole(110, kOrders));
  StepOutcome outcome = lane.run_until_idle();
  CHECK(lane.status().applied == position(110));
  CHECK(lane.status().durable == position(100));
  CHECK(lane.sink.count(Call::kFlush) == 0);
  CHECK(outcome.wake_at == connected_at + std::chrono::seconds(3));

  lane.clock.advance(std::chrono::seconds(2));
  lane.push(whole(120, kOrders));
  outcome = lane.run_until_idle();
  CHECK(lane.sink.count(Call::kFlush) == 0);

  lane.clock.advance_to(outcome.wake_at);
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kFlush) == 1);
  CHECK(lane.status().durable == position(120));

  lane.clock.advance(std::chrono::minutes(1));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kFlush) == 1);  // nothing new to make durable
}

TEST_CASE("nothing is flushed within a transaction") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  const auto large = portions(120, kOrders, {1, 1});
  lane.push(large[0]);
  lane.run_until_idle();
  lane.clock.advance(std::chrono::minutes(1));
  lane.run_until_idle();
  CHECK(lane.sink.count(Call::kFlush) == 0);
  lane.push(large[1]);
  lane.run_until_idle();
  CHECK(lane.status().durable == position(120));
}

TEST_CASE("an idle step waits") {
  Lane lane;
  lane.run_until_idle();
  const std::size_t calls = lane.sink.calls.size();
  for (int i = 0; i < 5; ++i) {
    const StepOutcome outcome = lane.step();
    CHECK(outcome.kind == Kind::kWaiting);
    lane.clock.advance_to(outcome.wake_at);
  }
  CHECK(lane.sink.calls.size() == calls);
}

TEST_CASE("a drained step applies what waits, makes it durable at once and finishes") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.push(portions(120, kOrders, {1, 1}));
  lane.apply().drain();
  CHECK(lane.run_until_idle().kind == Kind::kFinished);
  CHECK(lane.sink.rows() == ids(110) + ids(120, 2));
  CHECK(lane.sink.count(Call::kFlush) == 1);
  CHECK(lane.status().durable == position(120));
}

// A kFirst without its kLast stays open when the source is read no further.
TEST_CASE("a drained step rolls back a transaction whose end is missing") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.push(portions(120, kOrders, {1, 1, 1})[0]);
  lane.run_until_idle();
  REQUIRE(lane.sink.in_transaction());
  lane.apply().drain();
  CHECK(lane.run_until_idle().kind == Kind::kFinished);
  CHECK_FALSE(lane.sink.in_transaction());
  CHECK(lane.sink.rows() == ids(110));
}

TEST_CASE("a drained step that rolls back still makes durable what it had applied before") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.push(portions(120, kOrders, {1, 1, 1})[0]);
  lane.run_until_idle();
  lane.apply().drain();
  CHECK(lane.run_until_idle().kind == Kind::kFinished);
  CHECK(lane.sink.rows() == ids(110));
  CHECK(lane.status().durable == position(110));
}

TEST_CASE("a closed step rolls back and gives the connection up") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(portions(110, kOrders, {1, 1})[0]);
  lane.run_until_idle();
  REQUIRE(lane.sink.in_transaction());
  lane.apply().close();
  CHECK_FALSE(lane.sink.in_transaction());
  CHECK_FALSE(lane.sink.connected());
  CHECK_FALSE(lane.apply().connected());
  CHECK(lane.status().state == "stopped");
}

}  // namespace
}  // namespace headgate::pipeline_test
