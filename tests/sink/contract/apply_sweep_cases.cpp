// The real ApplyStep over the real driver, with a fault at each call in turn: each row arrives
// exactly once, and the position tells the truth. After tests/pipeline/apply_step_sweep_test.cpp,
// which does the same to a fake.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "contract_case.hpp"
#include "fake_sink.hpp"
#include "faulty_sink.hpp"
#include "pipeline/apply_step.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::sink_contract {
namespace {

using pipeline_test::FaultySink;
using pipeline_test::ids;
using pipeline_test::ManualClock;
using pipeline_test::SinkCall;
using pipeline_test::SinkFault;

enum class Trouble {
  kLost,      // the call is not done: the connection is lost, or the reply to COMMIT
  kLostDone,  // it is done, and its reply is lost
  kFull,      // the sink refuses it for now
  kCut,       // the connection itself is cut before the call
};

SinkFault fault_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::kLost:
      return SinkFault::reject();
    case Trouble::kLostDone:
      return SinkFault::fail_after();
    case Trouble::kFull:
      return SinkFault::reject(ErrorKind::kSystemic);
    case Trouble::kCut:
      break;
  }
  return SinkFault::slow({});  // and what passes meanwhile is the connection
}

// Without a key: a row that is applied twice is there twice.
const SinkConfigPtr& log_table() {
  static const SinkConfigPtr table = table_of("sweep_log", {{"id"}}, {});
  return table;
}
const SinkConfigPtr& keyed_table() {
  static const SinkConfigPtr table = table_of("sweep_keyed", {{"id"}}, {0});
  return table;
}

// Each transaction that touches its one row overwrites it.
const SinkConfigPtr& last_table() {
  static const SinkConfigPtr table = table_of("sweep_last", {{"id"}, {"end"}}, {0});
  return table;
}

// Inserts as whole() makes them, and the one row that tells which transaction came last.
TransactionPtr noted(std::uint64_t end, const TableSchemaPtr& table, std::size_t changes = 1) {
  static const auto last = std::make_shared<const TableSchema>(last_table()->output);
  auto made =
      std::make_shared<Transaction>(std::to_string(end), LSN::from_postgres(end - 1), WallTime{});
  pipeline_test::add_inserts(*made, table, end, changes);
  const std::string text = std::to_string(end);
  const std::vector<Value> row{Value::text("last"), Value::text(text)};
  made->add_change(last, Operation::kInsert, made->copy_row(row));
  made->set_commit_time(WallTime{std::chrono::seconds(end)});
  made->end_position = pipeline_test::position(end);
  return made;
}

// One of each kind of transaction, in commit order.
std::vector<std::vector<TransactionPtr>> workload() {
  using namespace pipeline_test;
  static const auto log = std::make_shared<const TableSchema>(log_table()->output);
  static const auto keyed = std::make_shared<const TableSchema>(keyed_table()->output);
  return {copy_of(100, log, {2, 1, 2}),  {noted(110, log)},   {noted(120, keyed, 2)},
          portions(130, log, {1, 2, 1}), {empty(140)},        {whole(150, keyed)},
          portions(160, keyed, {2, 0}),  {whole(170, log, 3)}};
}

Strings sorted(Strings rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}

// One process after the other before the same database, as often as the step asks for a restart.
class Pipeline {
 public:
  Pipeline(SinkUnderTest& sink, SinkDriver& driver, std::size_t batch_transactions_max)
      : sink_(sink), faulty(driver, [&](Duration) { sink_.cut_connections(); }) {
    options_.batch_transactions_max = batch_transactions_max;
    restart();
  }
  ~Pipeline() { step_->close(); }

  void restart() {
    if (step_) {
      step_->close();
      sink_.wait_until_free();
    }
    queue_ = std::make_unique<DeliveryQueue>(std::size_t{10000}, std::size_t{1} << 30U);
    progress = std::make_unique<SinkProgress>();
    step_ = std::make_unique<ApplyStep>("report", faulty, transformer_, *queue_, *progress, clock_,
                                        options_, pipeline_test::quiet());
  }

  void push(const std::vector<TransactionPtr>& transactions) {
    for (TransactionPtr transaction : transactions) {  // try_push() moves from it
      const std::size_t cost = transaction->memory_bytes();
      REQUIRE(queue_->try_push(transaction, cost));
    }
  }

  void run_until_idle() {
    for (int round = 0; round < 10000; ++round) {
      const StepOutcome outcome = step_->step();
      if (outcome.kind == StepOutcome::Kind::kWorked) {
        continue;
      }
      if (!step_->backing_off()) {
        return;
      }
      clock_.advance_to(outcome.wake_at);
      // No time passes for the sink: it has to be asked.
      sink_.wait_until_free();
    }
    FAIL("the step never comes to rest");
  }

  // Until everything is durable, too.
  void run_to_the_end(bool all_at_once) {
    for (const auto& transactions : workload()) {
      push(transactions);
      if (!all_at_once) {
        run_until_idle();
      }
    }
    run_until_idle();
    clock_.advance(std::chrono::seconds(1));
    run_until_idle();
  }

 private:
  SinkUnderTest& sink_;
  ManualClock clock_;
  pipeline_test::PassOn transformer_;
  ApplyOptions options_;
  std::unique_ptr<DeliveryQueue> queue_;
  std::unique_ptr<ApplyStep> step_;

 public:
  FaultySink faulty;
  std::unique_ptr<SinkProgress> progress;
};

struct Arrival {
  bool all_at_once;
  std::size_t batch_transactions_max;
};

// Returns the number of calls that the driver has seen.
std::size_t run(SinkUnderTest& sink, SinkDriver& driver, Arrival arrival, std::size_t first,
                std::size_t second, Trouble trouble) {
  for (const SinkConfigPtr& table : {log_table(), keyed_table(), last_table()}) {
    sink.drop_table(*table);
  }
  // The copy knows nothing of these two.
  sink.create_table(*keyed_table());
  sink.create_table(*last_table());
  sink.wait_until_free();
  sink.delete_position_row();
  std::size_t calls = 0;
  {
    Pipeline pipeline(sink, driver, arrival.batch_transactions_max);
    pipeline.faulty.strike(first, fault_of(trouble));
    pipeline.faulty.strike(second, fault_of(trouble));
    bool ended = false;
    for (int attempt = 0; attempt < 5 && !ended; ++attempt) {
      try {
        pipeline.run_to_the_end(arrival.all_at_once);
        ended = true;
      } catch (const Error& error) {
        INFO(error.describe());
        // A large transaction whose portions are gone cannot be repeated in place; a full sink is
        // then no reason to try at all, and a person starts the daemon again.
        REQUIRE((error.kind() == ErrorKind::kReread ||
                 (error.kind() == ErrorKind::kSystemic && trouble == Trouble::kFull)));
        pipeline.restart();
      }
    }
    CHECK(ended);
    CHECK(pipeline.progress->get().durable == pipeline_test::position(170));
    calls = pipeline.faulty.calls().size();
  }
  const auto row = sink.position_row();
  REQUIRE(row.has_value());
  CHECK(row->position == pipeline_test::position(170));
  using pipeline_test::operator+;
  CHECK(sink.rows(*log_table()) == sorted(ids(100, 5) + ids(110) + ids(130, 4) + ids(170, 3)));
  CHECK(sink.rows(*keyed_table()) == sorted(ids(120, 2) + ids(150) + ids(160, 2)));
  CHECK(sink.rows(*last_table()) == Strings{"last|120"});
  return calls;
}

void sweep(Arrival arrival, Trouble trouble, bool lazy, std::size_t gap) {
  CAPTURE(static_cast<int>(trouble), arrival.all_at_once, arrival.batch_transactions_max, lazy,
          gap);
  const auto sink = make_sink_under_test();
  const auto driver = lazy ? sink->make_lazy_driver() : sink->make_driver();
  if (!driver || (trouble == Trouble::kCut && !sink->cut_connections())) {
    SUCCEED("not here");
    return;
  }
  {
    // Makes the tables that the position row lives in.
    connect_when_free(*driver);
    driver->disconnect();
  }
  std::size_t struck = 0;
  std::size_t calls = 1;
  while (struck < calls) {
    CAPTURE(struck);
    calls = run(*sink, *driver, arrival, struck, struck + gap, trouble);
    ++struck;
  }
  CHECK(struck > 20);  // the sweep has met more than a call or two
}

Trouble any_trouble() {
  return GENERATE(Trouble::kLost, Trouble::kLostDone, Trouble::kFull, Trouble::kCut);
}

TEST_CASE("whichever call to the sink fails, and however, each row is there exactly once") {
  sweep({true, 1000}, GENERATE(Trouble::kLost, Trouble::kLostDone, Trouble::kCut), false, 0);
}

TEST_CASE("a fault at each call, one transaction at a time, commits that are durable or not",
          "[.full]") {
  const bool lazy = GENERATE(true, false);
  sweep({false, 1000}, any_trouble(), lazy, 0);
}

// What mends the first fault is struck as well.
TEST_CASE("two faults, one soon after the other, at each call", "[.full]") {
  const std::size_t gap = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{5});
  sweep({true, 2}, any_trouble(), false, gap);
}

}  // namespace
}  // namespace headgate::sink_contract
