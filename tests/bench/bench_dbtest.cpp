// The bench itself, small: its contenders get through its workloads, and a wrong sink is noticed.

#include <catch2/catch.hpp>

#include "curves.hpp"
#include "demo/pg_session.hpp"
#include "drain.hpp"
#include "latency.hpp"

namespace headgate::bench {
namespace {

constexpr std::uint64_t kRows = 2000;

DrainOptions once() {
  return {.repeats = 1, .disturbed_retries = 0, .calm_patience = {}};
}

void check_accepted(const DrainReport& report) {
  for (const DrainResult& result : report.results) {
    INFO(report.workload.name << ", " << result.contender);
    REQUIRE(result.samples.size() == 1);
    CHECK(result.samples.front().refused.empty());
    CHECK(result.seconds() > 0);
  }
}

// A contender whose sink loses a value between the drain and the comparison.
class Tampered final : public Contender {
 public:
  std::string name() const override { return "tampered"; }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return std::make_unique<TamperedRun>(honest_->prepare(prepared));
  }

 private:
  class TamperedRun final : public Run {
   public:
    explicit TamperedRun(std::unique_ptr<Run> honest) : honest_(std::move(honest)) {}
    void start() override { honest_->start(); }
    std::uint64_t applied() override { return honest_->applied(); }
    bool streaming() override { return honest_->streaming(); }
    CpuShares cpu() override { return honest_->cpu(); }
    void stop() override { honest_->stop(); }
    std::string look(const std::string& sql, std::uint64_t number) override {
      return honest_->look(sql, number);
    }
    Fingerprints found() override {
      honest_->look("UPDATE t4 SET grp = -1 WHERE id = $1 RETURNING grp", 1);
      return honest_->found();
    }

   private:
    std::unique_ptr<Run> honest_;
  };

  std::unique_ptr<Contender> honest_ = headgate_to_postgres();
};

Contenders every_contender() {
  Contenders contenders;
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(subscription(false));
  contenders.push_back(subscription(true));
  contenders.push_back(sqlite_loop());
  return contenders;
}

// Without the loop, which has nothing to wait for.
Contenders live_contenders() {
  Contenders contenders = every_contender();
  contenders.pop_back();
  return contenders;
}

TEST_CASE("every contender drains every workload, and its sink is like the source") {
  Stage stage;
  for (const Workload& workload : {bulk_insert(kRows), single_updates(kRows), tpcb(kRows)}) {
    PreparedWorkload prepared(stage, workload);
    check_accepted(drain(prepared, every_contender(), once()));
  }
}

TEST_CASE("a sink that lacks one value is refused") {
  Stage stage;
  PreparedWorkload prepared(stage, bulk_insert(kRows));
  Contenders contenders;
  contenders.push_back(std::make_unique<Tampered>());
  const DrainReport report = drain(prepared, contenders, once());
  CHECK(report.results.front().refused());
  CHECK_FALSE(report.results.front().counts());
}

TEST_CASE("latency is measured into both kinds of sinks, alone and under load") {
  Stage stage;
  PreparedWorkload prepared(stage, idle_table(kRows));
  for (const LatencyResult& result : single_latency(prepared, live_contenders(), 5, once())) {
    CHECK(result.milliseconds.size() == 5);
    CHECK(result.refused.empty());
  }
  PreparedWorkload loaded(stage, idle_tpcb(kRows));
  const LatencyResult result = latency_under_load(loaded, *headgate_to_sqlite(), 50, 1);
  CHECK_FALSE(result.milliseconds.empty());
  CHECK(result.refused.empty());
}

TEST_CASE("each curve can be measured at its first and last point") {
  Stage stage;
  CurveOptions options;
  options.rows = 500;
  options.transaction_rows_max = 1000;
  for (Curve& curve : curves(options)) {
    curve.points.erase(curve.points.begin() + 1, curve.points.end() - 1);
    for (const CurveFigure& figure : measure(stage, curve, once())) {
      INFO(figure.curve << " = " << figure.x << ", " << figure.contender);
      CHECK_FALSE(figure.refused);
      CHECK(figure.rows_per_second > 0);
    }
  }
}

}  // namespace
}  // namespace headgate::bench
