// What ApplyStep does when the sink fails it: retry, ask the sink, read again, or stop.

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "apply_fixture.hpp"
#include "pipeline/apply_step.hpp"

namespace headgate::pipeline_test {
namespace {

using Call = FakeSink::Call;
using Kind = StepOutcome::Kind;
using Sizes = std::vector<std::size_t>;

const TableSchemaPtr kOrders = schema("orders");

TEST_CASE("a lost connection is tried again after a back-off, and the batch is applied once") {
  const Call call =
      GENERATE(Call::kConnect, Call::kBegin, Call::kPrepareTable, Call::kWrite, Call::kCommit);
  Lane lane;
  lane.sink.start_at(position(100));
  lane.sink.fail(call, ErrorKind::kTransient, 3);
  lane.push(whole(110, kOrders, 2));
  lane.push(whole(120, kOrders));
  const TimePoint begun = lane.clock.now();
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(110, 2) + ids(120));
  CHECK(lane.clock.now() > begun);
  CHECK(lane.status().state == "streaming");
  CHECK(lane.status().error.empty());
}

TEST_CASE("while it waits for the next attempt, the sink is left alone and status says why") {
  Lane lane;
  lane.sink.fail(Call::kConnect, ErrorKind::kTransient);
  const StepOutcome failed = lane.step();
  REQUIRE(failed.kind == Kind::kWaiting);
  CHECK(lane.status().state == "retrying");
  CHECK(lane.status().error == "scripted failure");
  const std::size_t calls = lane.sink.calls.size();
  const StepOutcome again = lane.step();
  CHECK(again.kind == Kind::kWaiting);
  CHECK(again.wake_at == failed.wake_at);
  CHECK(lane.sink.calls.size() == calls);
  lane.clock.advance_to(failed.wake_at);
  CHECK(lane.step().kind == Kind::kWorked);
  CHECK(lane.apply().connected());
}

TEST_CASE("a sink that another process holds is waited for") {
  Lane lane;
  lane.sink.fail(Call::kConnect, ErrorKind::kLocked, 3);
  lane.run_until_idle();
  CHECK(lane.apply().connected());
}

// Found by the simulator: two processes of one pipeline with two sinks, each of which had lost one
// session and waited for ever for the sink that the other held. So who loses a sink to another
// process gives up the rest, too.
TEST_CASE("a sink that another process took while it was lost ends the session") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.run_until_idle();
  lane.sink.fail(Call::kBegin, ErrorKind::kTransient);
  lane.sink.fail(Call::kConnect, ErrorKind::kLocked);
  lane.push(whole(110, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kReread);
  CHECK_FALSE(lane.sink.connected());
}

// Connecting may well succeed against a sink that then refuses to write: only a batch that went
// through ends the series.
TEST_CASE("the back-off grows while every attempt to write fails") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.sink.fail(Call::kWrite, ErrorKind::kTransient, 12);
  lane.push(whole(110, kOrders));
  Duration longest{};
  while (lane.sink.commits().empty()) {
    const StepOutcome outcome = lane.step();
    if (outcome.kind == Kind::kWaiting) {
      longest = std::max(longest, outcome.wake_at - lane.clock.now());
      lane.clock.advance_to(outcome.wake_at);
    }
  }
  CHECK(longest > std::chrono::seconds(5));
}

TEST_CASE("a COMMIT whose reply is lost is settled by the sink's own position") {
  const bool done = GENERATE(true, false);
  const bool durable_commits = GENERATE(true, false);
  CAPTURE(done, durable_commits);
  Lane lane;
  lane.sink.durable_commits = durable_commits;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders, 2));
  lane.push(whole(120, kOrders));
  lane.sink.lose_commit_reply(done);
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{3});
  CHECK(lane.sink.rows() == ids(110, 2) + ids(120));
  CHECK(lane.sink.count(Call::kWrite) == (done ? 1 : 2));
  const SinkStatus status = lane.status();
  CHECK(status.state == "streaming");
  CHECK(status.applied == position(120));
  CHECK(status.transactions == 2);
  CHECK(status.changes == 3);
  CHECK(status.batches == 1);
  lane.push(whole(130, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(110, 2) + ids(120) + ids(130));
}

TEST_CASE("a lost reply to the COMMIT of a large transaction is settled if it was done") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(portions(110, kOrders, {1, 2, 1}));
  lane.push(whole(120, kOrders));
  lane.sink.lose_commit_reply(true);
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(110, 4) + ids(120));
}

TEST_CASE("a lost reply to the COMMIT of a large transaction is read again if it was not done") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(portions(110, kOrders, {1, 2, 1}));
  lane.sink.lose_commit_reply(false);
  CHECK(lane.run_until_error() == ErrorKind::kReread);
  CHECK(lane.sink.rows().empty());
  CHECK(lane.status().state == "stopped");
}

TEST_CASE("a lost reply to the COMMIT of a copy leaves one copy") {
  const bool done = GENERATE(true, false);
  CAPTURE(done);
  Lane lane;
  lane.push(copy_of(100, kOrders, {3}));
  lane.push(whole(110, kOrders));
  lane.sink.lose_commit_reply(done);
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(100, 3) + ids(110));
}

TEST_CASE("a connection lost within a large transaction calls for reading again") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  const auto large = portions(120, kOrders, {1, 1, 1});
  lane.push(large[0]);
  lane.run_until_idle();
  lane.push(large[1]);
  lane.push(large[2]);
  const Call call = GENERATE(Call::kWrite, Call::kCommit);
  lane.sink.fail(call, ErrorKind::kTransient);
  CHECK(lane.run_until_error() == ErrorKind::kReread);
  CHECK(lane.sink.rows() == ids(110));
  CHECK(lane.status().state == "stopped");
  CHECK_FALSE(lane.sink.connected());

  lane.restart();
  lane.push(large);
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(110) + ids(120, 3));
}

// Only a person can end the pause, and the source would be asked for the same again and again.
TEST_CASE("a pause within a large transaction lasts until the table is taken") {
  Lane lane;
  lane.sink.start_at(position(100));
  auto large = portions(120, kOrders, {1, 1, 1});
  const auto other = std::make_shared<Transaction>("120", LSN::from_postgres(119), WallTime{});
  other->set_first_ordinal(1);
  add_inserts(*other, schema("altered"), 120, 1);
  other->portion = Portion::kMiddle;
  large[1] = other;
  lane.push(large[0]);
  lane.run_until_idle();
  lane.push(large[1]);
  lane.push(large[2]);
  lane.sink.fail(Call::kPrepareTable, ErrorKind::kPaused, 4);
  Duration waited{};
  for (int attempt = 0; attempt < 4; ++attempt) {
    const StepOutcome outcome = lane.step();
    CHECK(outcome.kind == StepOutcome::Kind::kWaiting);
    CHECK(lane.status().state == "paused");
    CHECK(outcome.wake_at - lane.clock.now() > waited / 2);
    waited = outcome.wake_at - lane.clock.now();
    lane.clock.advance_to(outcome.wake_at);
  }
  CHECK(lane.run_until_error() == ErrorKind::kReread);
  CHECK(lane.sink.rows().empty());

  lane.restart();
  lane.push(large);
  lane.run_until_idle();
  CHECK(lane.sink.rows() == ids(120, 3));
}

TEST_CASE("a paused sink does not keep the process from ending") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.sink.fail(Call::kPrepareTable, ErrorKind::kPaused, 50);
  lane.step();  // connects
  lane.step();
  REQUIRE(lane.status().state == "paused");
  lane.apply().drain();
  CHECK(lane.step().kind == StepOutcome::Kind::kFinished);
}

TEST_CASE("a sink that is lost during a pause within a large transaction calls for reading again") {
  Lane lane;
  lane.sink.start_at(position(100));
  const auto large = portions(120, kOrders, {1, 1});
  lane.push(large[0]);
  lane.run_until_idle();
  auto other = std::make_shared<Transaction>("120", LSN::from_postgres(119), WallTime{});
  add_inserts(*other, schema("altered"), 120, 1);
  other->portion = Portion::kLast;
  other->end_position = position(120);
  lane.push(other);
  lane.sink.fail(Call::kPrepareTable, ErrorKind::kPaused);
  lane.clock.advance_to(lane.step().wake_at);
  lane.sink.fail(Call::kConnect, ErrorKind::kTransient);
  CHECK(lane.run_until_error() == ErrorKind::kReread);
}

TEST_CASE("a connection lost with the first portion needs nothing from the source") {
  const Call call = GENERATE(Call::kBegin, Call::kPrepareTable, Call::kWrite);
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(portions(110, kOrders, {1, 1, 1}));
  lane.sink.fail(call, ErrorKind::kTransient);
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{3});
  CHECK(lane.sink.rows() == ids(110, 3));
}

TEST_CASE("a sink that refuses every write stops the pipeline when the attempts are used up") {
  const Call call = GENERATE(Call::kConnect, Call::kBegin, Call::kWrite, Call::kCommit);
  ApplyOptions options;
  options.systemic_attempts_max = 4;
  Lane lane(options);
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.sink.fail(call, ErrorKind::kSystemic, 50);
  CHECK(lane.run_until_error() == ErrorKind::kSystemic);
  CHECK(lane.sink.count(call) == 4);
  CHECK(lane.status().state == "stopped");
  CHECK(lane.status().error == "scripted failure");
  CHECK(lane.sink.rows().empty());
}

TEST_CASE("a sink that refuses writes for a while is forgiven, and the next time counts anew") {
  ApplyOptions options;
  options.systemic_attempts_max = 4;
  Lane lane(options);
  lane.sink.start_at(position(100));
  for (const std::uint64_t end : {110U, 120U, 130U}) {
    lane.push(whole(end, kOrders));
    lane.sink.fail(Call::kWrite, ErrorKind::kSystemic, 3);
    REQUIRE_FALSE(lane.run_until_error().has_value());
  }
  CHECK(lane.sink.rows() == ids(110) + ids(120) + ids(130));
}

TEST_CASE("attempts against a sink that is away do not use up those against one that refuses") {
  ApplyOptions options;
  options.systemic_attempts_max = 3;
  Lane lane(options);
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.sink.fail(Call::kWrite, ErrorKind::kTransient, 20);
  lane.sink.fail(Call::kWrite, ErrorKind::kSystemic, 2);
  CHECK_FALSE(lane.run_until_error().has_value());
  CHECK(lane.sink.rows() == ids(110));
}

TEST_CASE("an error that a person must mend stops at once with nothing written") {
  const ErrorKind kind = GENERATE(ErrorKind::kRow, ErrorKind::kOperator, ErrorKind::kFenced);
  const Call call = GENERATE(Call::kBegin, Call::kPrepareTable, Call::kWrite, Call::kCommit);
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.sink.fail(call, kind);
  CHECK(lane.run_until_error() == kind);
  CHECK(lane.sink.rows().empty());
  CHECK(lane.sink.current() == position(100));
  CHECK_FALSE(lane.sink.in_transaction());
  CHECK_FALSE(lane.sink.connected());
  CHECK(lane.status().state == "stopped");
  CHECK(lane.status().error == "scripted failure");
}

TEST_CASE("an error that stops the pipeline names the sink") {
  Lane lane;
  lane.sink.fail(Call::kConnect, ErrorKind::kOperator);
  CHECK_THROWS_WITH(lane.run_until_idle(), "sink report: scripted failure");
}

TEST_CASE("a change that cannot be transformed stops before anything is written") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.push(whole(120, kOrders));
  lane.transformer.failures[120] = ErrorKind::kRow;
  CHECK(lane.run_until_error() == ErrorKind::kRow);
  CHECK(lane.sink.rows().empty());
}

TEST_CASE("a process that another one has taken over from writes nothing more") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.sink.take_over();
  lane.push(whole(120, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kFenced);
  CHECK(lane.sink.rows() == ids(110));
}

TEST_CASE("a flush of a process that another one has taken over from is refused") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.sink.take_over();
  lane.clock.advance(std::chrono::minutes(1));
  CHECK(lane.run_until_error() == ErrorKind::kFenced);
  CHECK(lane.status().durable == position(100));
}

TEST_CASE("a sink found beyond our position after a reconnect was written by another process") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.sink.move_to(position(125));
  lane.sink.fail(Call::kBegin, ErrorKind::kTransient);
  lane.push(whole(120, kOrders));
  lane.push(whole(130, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kFenced);
  CHECK(lane.sink.rows() == ids(110));
}

TEST_CASE("a sink found in another history after a reconnect is not touched") {
  Lane lane;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.sink.move_to(position(50, "test:2"));
  lane.sink.fail(Call::kBegin, ErrorKind::kTransient);
  lane.push(whole(120, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kFenced);
}

TEST_CASE("a sink that went back after a power cut is given again what it lost") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  REQUIRE(lane.status().durable == position(100));
  lane.sink.cut_power();
  lane.push(whole(120, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kReread);
  CHECK(lane.sink.rows().empty());
  CHECK(lane.status().state == "stopped");
}

TEST_CASE("a sink that lost even its position is read for again") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.push(copy_of(100, kOrders, {2}));
  lane.run_until_idle();
  lane.sink.cut_power();
  lane.push(whole(110, kOrders));
  CHECK(lane.run_until_error() == ErrorKind::kReread);
}

TEST_CASE("a power cut costs nothing that had been flushed") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.clock.advance(std::chrono::seconds(2));
  lane.run_until_idle();
  REQUIRE(lane.status().durable == position(110));
  lane.sink.cut_power();
  lane.push(whole(120, kOrders));
  CHECK_FALSE(lane.run_until_error().has_value());
  CHECK(lane.sink.rows() == ids(110) + ids(120));
}

TEST_CASE("a failed flush leaves the commits not durable until the sink is connected again") {
  Lane lane;
  lane.sink.durable_commits = false;
  lane.sink.start_at(position(100));
  lane.push(whole(110, kOrders));
  lane.run_until_idle();
  lane.sink.fail(Call::kFlush, ErrorKind::kTransient);
  lane.clock.advance(std::chrono::seconds(2));
  CHECK(lane.step().kind == Kind::kWaiting);
  CHECK(lane.status().durable == position(100));
  lane.run_until_idle();
  CHECK(lane.status().durable == position(110));
}

}  // namespace
}  // namespace headgate::pipeline_test
