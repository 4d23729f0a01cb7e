#include "core/batch_context.hpp"

#include <chrono>
#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace {

using headgate::BatchContext;
using headgate::DeliveryReason;
using headgate::WallTime;

constexpr WallTime kNow{std::chrono::microseconds(1'767'225'600'123'456)};

TEST_CASE("a batch id is the milliseconds and eight random digits") {
  const BatchContext batch = BatchContext::make("orders_enriched", kNow);
  CHECK_THAT(batch.batch_id, Catch::Matches("1767225600123-[0-9a-f]{8}"));
  CHECK(batch.skill_name == "orders_enriched");
  CHECK(batch.start_time == kNow);
}

TEST_CASE("batches of the same moment have different ids") {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    ids.insert(BatchContext::make("", kNow).batch_id);
  }
  CHECK(ids.size() > 995);  // 32 random bits: two alike are possible, five are not
}

TEST_CASE("delivery reasons have the names that people count") {
  CHECK(to_string(DeliveryReason::kCommitTime) == "commit_time");
  CHECK(to_string(DeliveryReason::kPollInterval) == "poll_interval");
  CHECK(to_string(DeliveryReason::kTimeout) == "timeout");
  CHECK(to_string(DeliveryReason::kBatchLimit) == "batch_limit");
}

}  // namespace
