#include "admin/status_json.hpp"

#include <limits>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

#include "admin/json_text.hpp"
#include "sample_report.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

// The keys are public: this test changes only by additions.
TEST_CASE("the shape of the status report is pinned") {
  const auto expected = json::parse(R"({
    "pipeline": "shop",
    "version": "0.1.0",
    "started_at": "2023-11-14T22:13:20.000000Z",
    "now": "2023-11-14T22:14:50.500000Z",
    "uptime_seconds": 90,
    "state": "polling",
    "state_metadata": {"tables": "2"},
    "ready": true,
    "reason": "",
    "source": {
      "server_version": "15.6",
      "slot": "headgate_shop",
      "retained_bytes": 4096,
      "wal_status": "reserved",
      "safe_wal_bytes": null,
      "warnings": [
        {"level": "warning", "what": "capturing is 1 h behind", "remedy": "look at the job"}
      ]
    },
    "capture": {
      "state": "cdc",
      "received": "16/B374D848",
      "acknowledged": "16/B374D000",
      "transactions": 12,
      "changes": 34,
      "last_commit_time": "2023-11-14T22:14:50.000000Z",
      "error": ""
    },
    "sinks": [
      {
        "name": "business",
        "type": "sqlite",
        "state": "streaming",
        "applied": "16/B374D848",
        "durable": "16/B374D000",
        "transactions": 12,
        "changes": 34,
        "batches": 3,
        "skipped": 1,
        "last_commit_time": "2023-11-14T22:14:50.000000Z",
        "applied_at": "2023-11-14T22:14:50.250000Z",
        "lag_seconds": 0.0,
        "lag_bytes": 0,
        "queued_transactions": 0,
        "queued_bytes": 0,
        "error": "",
        "paused_tables": []
      },
      {
        "name": "report",
        "type": "postgres",
        "state": "retrying",
        "applied": "16/B374C848",
        "durable": "16/B374C848",
        "transactions": 10,
        "changes": 30,
        "batches": 2,
        "skipped": 0,
        "last_commit_time": "2023-11-14T22:14:40.250000Z",
        "applied_at": "2023-11-14T22:14:40.500007Z",
        "lag_seconds": 10.25,
        "lag_bytes": 4096,
        "queued_transactions": 2,
        "queued_bytes": 512,
        "error": "connection refused",
        "paused_tables": []
      }
    ]
  })");

  CHECK(json::value(status_json(sample_report())) == expected);
}

TEST_CASE("a paused table is told of with its sink, and among the tables") {
  StatusReport report = sample_report();
  const auto tables = std::make_shared<std::vector<TableStatus>>();
  tables->push_back({{"shop", "items"}, "paused", 0, "0/1A"});
  tables->back().paused = {"column n added", "drop it", "0/2B"};
  tables->push_back({{"shop", "other"}, "streaming", 0, ""});
  report.sinks[0].status.tables = tables;
  const json::value pause = json::parse(
      R"({"since": "0/2B", "reason": "column n added", "remedy": "drop it", "copy_refused": null})");
  json::object named = pause.as_object();
  named.emplace("table", "shop.items");
  const auto sink = status_json(report).at("sinks").at(0);
  CHECK(sink.at("paused_tables") == json::value(json::array{named}));
  CHECK(sink.at("state").as_string() == "streaming");
  const auto listed = tables_json(report).at("sinks").at(0).at("tables");
  CHECK(listed.at(0).at("state").as_string() == "paused");
  CHECK(listed.at(0).at("paused") == pause);
  CHECK(listed.at(1).at("paused").is_null());
  tables->front().paused->refused = "no column n";
  CHECK(tables_json(report).at("sinks").at(0).at("tables").at(0).at("paused").at("copy_refused") ==
        json::value("no column n"));
}

TEST_CASE("what is not known yet is null") {
  const auto report = status_json(StatusReport{});
  CHECK(report.at("started_at").is_null());
  CHECK(report.at("now").is_null());
  CHECK(report.at("capture").at("received").is_null());
  CHECK(report.at("capture").at("acknowledged").is_null());
  CHECK(report.at("capture").at("last_commit_time").is_null());
  CHECK(report.at("source").at("safe_wal_bytes").is_null());
  CHECK(report.at("sinks").as_array().empty());
  CHECK(report.at("state_metadata").as_object().empty());
}

struct Lag {
  json::value seconds;
  json::value bytes;
};

Lag lag_of(const Position& applied, const Position& received, WallTime last_commit_time) {
  StatusReport report = sample_report();
  report.capture.received = received;
  report.sinks.resize(1);
  report.sinks[0].status.applied = applied;
  report.sinks[0].status.last_commit_time = last_commit_time;
  const auto sink = status_json(report).at("sinks").at(0);
  return {sink.at("lag_seconds"), sink.at("lag_bytes")};
}

TEST_CASE("the lag counts only while a sink is behind") {
  const WallTime minute_ago = sample_report().now - std::chrono::minutes(1);

  SECTION("an idle source is no lag, however old its last commit") {
    const auto lag = lag_of(sample_position(100), sample_position(100), minute_ago);
    CHECK(lag.seconds == 0.0);
    CHECK(lag.bytes == 0);
  }
  SECTION("behind: since the commit of what was applied last") {
    const auto lag = lag_of(sample_position(100), sample_position(130), minute_ago);
    CHECK(lag.seconds == 60.0);
    CHECK(lag.bytes == 30);
  }
  SECTION("a sink that was ahead when reading began again at an older one's position") {
    const auto lag = lag_of(sample_position(100), sample_position(90), minute_ago);
    CHECK(lag.seconds == 0.0);
    CHECK(lag.bytes == 0);
  }
  SECTION("nothing received yet") {
    const auto lag = lag_of(sample_position(100), Position{}, minute_ago);
    CHECK(lag.seconds == 0.0);
    CHECK(lag.bytes.is_null());
  }
  SECTION("behind since a restart: nothing was applied, so no commit time is known") {
    const auto lag = lag_of(sample_position(100), sample_position(130), WallTime{});
    CHECK(lag.seconds.is_null());
    CHECK(lag.bytes == 30);
  }
  SECTION("nothing applied yet") {
    const auto lag = lag_of(Position{}, sample_position(130), WallTime{});
    CHECK(lag.seconds.is_null());
    CHECK(lag.bytes.is_null());
  }
  SECTION("the clock of the source is ahead of ours") {
    const auto lag = lag_of(sample_position(100), sample_position(130),
                            sample_report().now + std::chrono::seconds(1));
    CHECK(lag.seconds == 0.0);
  }
  // After a failover the positions are of two timelines, whose LSNs have no order.
  SECTION("another history is one not reached yet") {
    const Position received{LSN::from_postgres(90), History{"postgres:7311:2"}};
    const auto lag = lag_of(sample_position(100), received, minute_ago);
    CHECK(lag.seconds == 60.0);
    CHECK(lag.bytes.is_null());
  }
  SECTION("SQL Server's LSNs are no byte offsets") {
    const Position applied{LSN::parse("00000027:00000ac0:0002"), History{"sqlserver:1"}};
    const Position received{LSN::parse("00000027:00000ac0:0003"), History{"sqlserver:1"}};
    const auto lag = lag_of(applied, received, minute_ago);
    CHECK(lag.seconds == 60.0);
    CHECK(lag.bytes.is_null());
  }
}

TEST_CASE("times before 1970 and far off are printed right") {
  StatusReport report = sample_report();
  report.started_at = wall_time(-1);
  report.now = wall_time(253'402'300'799'999'999);
  const auto status = status_json(report);
  CHECK(status.at("started_at") == "1969-12-31T23:59:59.999999Z");
  CHECK(status.at("now") == "9999-12-31T23:59:59.999999Z");
}

TEST_CASE("JSON text has plain numbers and comes back as it was") {
  const json::value value = {{"a", 0.25},
                             {"b", {1, -2, std::numeric_limits<std::uint64_t>::max()}},
                             {"quote \" and \n", nullptr},
                             {"c", json::object{}},
                             {"d", json::array{}},
                             {"e", true},
                             {"f", 3.0}};
  const std::string text = json_text(value);
  CHECK_THAT(text, Catch::StartsWith(R"({"a":0.25,"b":[1,-2,18446744073709551615],)"));
  CHECK(text.back() == '\n');
  CHECK(json::parse(text) == value);
  CHECK(json_text(std::numeric_limits<double>::infinity()) == "null\n");
}

}  // namespace
}  // namespace headgate
