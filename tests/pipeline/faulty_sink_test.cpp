// The wrapper that makes any sink fail: each fault does what it says, and nothing else changes.

#include "faulty_sink.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "fake_sink.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {
namespace {

template <typename Action>
std::optional<ErrorKind> kind_thrown(Action action) {
  try {
    action();
    return {};
  } catch (const Error& error) {
    return error.kind();
  }
}

TEST_CASE("a faulty sink without a script hands every call on") {
  FakeSink inner;
  FaultySink sink(inner);
  CHECK(sink.connect().epoch == 1);
  sink.begin();
  sink.commit({position(10), {}});
  sink.flush();
  Findings findings;
  CHECK(sink.check(findings).position == position(10));
  CHECK(inner.durable() == position(10));
  CHECK(sink.calls() == std::vector{SinkCall::kConnect, SinkCall::kBegin, SinkCall::kCommit,
                                    SinkCall::kFlush, SinkCall::kCheck});
  CHECK(sink.commits_are_durable());
  inner.durable_commits = false;
  CHECK_FALSE(sink.commits_are_durable());
  sink.disconnect();
  CHECK_FALSE(inner.connected());
  CHECK(sink.faults_met() == 0);
  CHECK(inner.misuse().empty());
}

TEST_CASE("a rejected call does nothing, and the next one of its sort goes through") {
  FakeSink inner;
  FaultySink sink(inner);
  sink.connect();
  sink.next(SinkCall::kBegin, SinkFault::reject(ErrorKind::kSystemic));
  CHECK(kind_thrown([&] { sink.begin(); }) == ErrorKind::kSystemic);
  CHECK_FALSE(inner.in_transaction());
  sink.begin();
  CHECK(inner.in_transaction());
  CHECK(sink.faults_met() == 1);
}

// The fault that finds the bugs: it is done, and nobody said so.
TEST_CASE("a call that fails after its work has done it") {
  FakeSink inner;
  FaultySink sink(inner);
  sink.connect();
  sink.next(SinkCall::kBegin, SinkFault::fail_after());
  CHECK(kind_thrown([&] { sink.begin(); }) == ErrorKind::kTransient);
  CHECK(inner.in_transaction());

  sink.next(SinkCall::kCommit, SinkFault::fail_after());
  CHECK(kind_thrown([&] { sink.commit({position(10), {}}); }) == ErrorKind::kInDoubt);
  CHECK(inner.current() == position(10));

  sink.next(SinkCall::kFlush, SinkFault::fail_after(ErrorKind::kFenced));
  CHECK(kind_thrown([&] { sink.flush(); }) == ErrorKind::kFenced);
  CHECK(inner.count(FakeSink::Call::kFlush) == 1);
}

TEST_CASE("calls can be struck by number, and by sort in the order of the script") {
  FakeSink inner;
  FaultySink sink(inner);
  sink.strike(1, SinkFault::reject());
  sink.next(SinkCall::kBegin, SinkFault::reject(ErrorKind::kSystemic));
  sink.next(SinkCall::kBegin, SinkFault::reject(ErrorKind::kOperator));
  sink.connect();
  CHECK(kind_thrown([&] { sink.begin(); }) == ErrorKind::kTransient);
  CHECK(kind_thrown([&] { sink.begin(); }) == ErrorKind::kSystemic);
  CHECK(kind_thrown([&] { sink.begin(); }) == ErrorKind::kOperator);
  CHECK(kind_thrown([&] { sink.begin(); }) == std::nullopt);
  CHECK(sink.faults_met() == 3);
}

TEST_CASE("a slow answer lets the test's time pass and then does its work") {
  FakeSink inner;
  ManualClock clock;
  FaultySink sink(inner, [&](Duration time) { clock.advance(time); });
  const TimePoint before = clock.now();
  sink.next(SinkCall::kConnect, SinkFault::slow(std::chrono::seconds(40)));
  sink.connect();
  CHECK(inner.connected());
  CHECK(clock.now() - before == std::chrono::seconds(40));
}

TEST_CASE("a held call waits, with nothing done, until the test lets it go") {
  FakeSink inner;
  FaultySink sink(inner);
  sink.connect();
  sink.begin();
  sink.next(SinkCall::kCommit, SinkFault::hold());
  sink.release();  // nothing is held yet: it opens no gate for later

  std::thread worker([&] { sink.commit({position(10), {}}); });
  sink.wait_until_held();
  CHECK(sink.is_held());
  CHECK(inner.current().empty());
  sink.release();
  worker.join();
  CHECK(inner.current() == position(10));
  CHECK_FALSE(sink.is_held());
}

}  // namespace
}  // namespace headgate::pipeline_test
