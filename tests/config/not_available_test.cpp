// What this version does not do is refused, unless it is the documented default: nobody should have
// to find out that a setting had no effect.

#include "config/not_available.hpp"

#include <catch2/catch.hpp>

#include "config/config.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

TEST_CASE("keys whose feature does not exist take their documented default and null") {
  for (const char* section : {
           "new_tables: snapshot\n",
           "schema_changes: apply\n",
           "cdc: { gate: strict, max_wait: 30s, allow_torn_transactions: false }\n",
           "cdc: { gap: { check_interval: 1m, warning_lag: 1h, critical_lag: 6h, recovery: manual "
           "} }\n",
           "cdc: { gap: { check_interval: 60s, warning_lag: 60m, critical_lag: null } }\n",
           "snapshot: { chunk_rows: 50000, parallel: 2, max_rate: null, method: bulk }\n",
           "skills: { path: null }\n",
           "errors: { budget: { transactions: 100, per: 1m } }\n",
           "errors: { held_max: { transactions: 100000, bytes: 1GiB }, on_row_error: stop }\n",
           "storage: { change_store: { enabled: false, retain: 7d, max_size: 10GiB } }\n",
           "storage: { change_store: { retain: 30d, max_size: 1GiB }, monitor: { retain: 14d } }\n",
           "limits: { spill_disk: 20GiB, row_max: 1GiB }\n",
           "http: { tls_cert: null, tls_key: null }\n",
           "alerts: []\n",
           "alerts: null\n",
       }) {
    INFO(section);
    CHECK(message_of(kGoodYaml + section).empty());
    if (message_of(kGoodYaml + section).empty()) {
      CHECK(parse_config("c.yml", kGoodYaml + section).warnings.empty());
    }
  }
}

TEST_CASE("keys whose feature does not exist are refused when they ask for it") {
  const auto refused = [](const std::string& line, const std::string& key,
                          const std::string& what) {
    return Mistake{kGoodYaml + line + "\n",
                   "c.yml:10: " + key + ": not available in this version: " + what};
  };
  check_mistakes({
      refused("cdc: { gate: timed }", "cdc.gate", "timed (only strict)"),
      refused("cdc: { allow_torn_transactions: true }", "cdc.allow_torn_transactions",
              "a gate that may tear transactions"),
      refused("cdc: { max_wait: 5s }", "cdc.max_wait", "5s (only 30s)"),
      refused("cdc: { gap: { check_interval: 5m } }", "cdc.gap.check_interval", "5m (only 1m)"),
      refused("cdc: { gap: { warning_lag: 5m } }", "cdc.gap.warning_lag", "5m (only 1h)"),
      refused("cdc: { gap: { critical_lag: 1d } }", "cdc.gap.critical_lag", "1d (only 6h)"),
      refused("cdc: { gap: { recovery: snapshot } }", "cdc.gap.recovery", "snapshot (only manual)"),
      refused("skills: { path: ./skills }", "skills.path", "skills"),
      refused("errors: { budget: { transactions: 5 } }", "errors.budget.transactions",
              "5 (only 100)"),
      refused("errors: { budget: { per: 1h } }", "errors.budget.per", "1h (only 1m)"),
      refused("errors: { held_max: { transactions: 5 } }", "errors.held_max.transactions",
              "5 (only 100000)"),
      refused("errors: { held_max: { bytes: 2GiB } }", "errors.held_max.bytes", "2GiB (only 1GiB)"),
      refused("storage: { change_store: { enabled: true } }", "storage.change_store.enabled",
              "the change store"),
      refused("storage: { monitor: { retain: 1d } }", "storage.monitor.retain", "1d (only 14d)"),
      refused("limits: { row_max: 1MiB }", "limits.row_max", "1MiB (only 1GiB)"),
      refused("http: { tls_cert: /etc/x.pem }", "http.tls_cert", "HTTPS"),
      refused("http: { tls_key: /etc/x.pem }", "http.tls_key", "HTTPS"),
      refused("alerts: [{ type: webhook, url_file: /etc/x }]", "alerts", "alerts"),
      refused("  - { name: b, type: mysql, dsn: x, password_file: y }", "sinks[1].type",
              "mysql (only sqlite and postgres)"),
      refused("    stall_after: 1m", "sinks[0].stall_after", "1m (only 30s)"),
      refused("    migrations: ./migrations", "sinks[0].migrations", "migrations"),
  });
}

TEST_CASE("what a source has not yet is refused, without findings beside the point") {
  check_mistakes({
      {good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x") +
           "snapshot: { method: bulk }\n",
       "c.yml:10: snapshot.method: bulk applies to postgres sources only", "leave the key out"},
      {good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x\n  slot: s") +
           "snapshot: { mode: never }\n",
       "c.yml:5: source.slot: applies to postgres sources only", "leave the key out"},
      {good_but("source:\n", "source:\n  mode: change_tables\n"),
       "c.yml:3: source.mode: not available in this version: change_tables (only logical)"},
      {kGoodYaml + "snapshot: { locking: brief }\n",
       "c.yml:10: snapshot.locking: brief applies to sqlserver sources only", "leave the key out"},
      {kGoodYaml + "snapshot: { lock_timeout: 2s }\n",
       "c.yml:10: snapshot.lock_timeout: applies to sqlserver sources only", "leave the key out"},
      {kGoodYaml + "snapshot: { commit_settles: 2s }\n",
       "c.yml:10: snapshot.commit_settles: applies to sqlserver sources only", "leave the key out"},
      {good_but("source:\n", "source:\n  time_zone: UTC\n"),
       "c.yml:3: source.time_zone: applies to sqlserver sources only",
       "leave the key out, or write null"},
      {good_but("source:\n", "source:\n  query_mode: functions\n"),
       "c.yml:3: source.query_mode: applies to sqlserver sources only", "leave the key out"},
      {good_but("source:\n", "source:\n  readers: 2\n"),
       "c.yml:3: source.readers: applies to sqlserver sources only", "leave the key out"},
  });
}

TEST_CASE("how change tables are read is chosen for a SQL Server source") {
  const std::string server = good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                                      "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x") +
                             "snapshot: { mode: never }\n";
  const auto with = [&](const std::string& keys) {
    std::string yaml = server;
    return yaml.replace(yaml.find("  dsn:"), 0, keys);
  };
  const Config plain = parse_config("c.yml", server);
  REQUIRE(plain.sqlserver);
  CHECK(plain.sqlserver->query_mode == source::sqlserver::QueryMode::kDirect);
  CHECK(plain.sqlserver->readers == 1);
  const Config chosen = parse_config("c.yml", with("  query_mode: functions\n  readers: 8\n"));
  REQUIRE(chosen.sqlserver);
  CHECK(chosen.sqlserver->query_mode == source::sqlserver::QueryMode::kFunctions);
  CHECK(chosen.sqlserver->readers == 8);
  check_mistakes({
      {with("  query_mode: cursor\n"),
       "c.yml:4: source.query_mode: \"cursor\" is not one of: direct, functions"},
      {with("  readers: 0\n"), "c.yml:4: source.readers: \"0\" is not a whole number from 1 to 32"},
  });
}

TEST_CASE("names of a SQL Server's tables may have what it allows, 128 characters") {
  const auto with_name = [](const std::string& name) {
    std::string yaml = good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                                "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x");
    return yaml.replace(yaml.find("public.orders"), 13, name);
  };
  const std::string umlaut = "\u00e4";            // two bytes, one character
  const std::string astral = "\xf0\x9f\x98\x80";  // four bytes, two of its characters
  std::string umlauts;
  std::string astrals;
  for (int i = 0; i < 64; ++i) {
    umlauts += umlaut + umlaut;
    astrals += astral;
  }
  for (const std::string& name : {std::string(128, 'x'), umlauts, astrals}) {
    CHECK(parse_config("c.yml", with_name("dbo." + name)).source.tables.front() == "dbo." + name);
    const std::string longer = "dbo." + name + "y";
    check_mistakes({{with_name(longer),
                     "c.yml:5: tables[0]: \"" + longer.substr(0, 80) +  // shown so far
                         "...\" has a name of more than 128 characters, which SQL Server does not "
                         "have"}});
  }
  check_mistakes({{with_name("orders"), "c.yml:5: tables[0]: \"orders\" has no schema",
                   "\"dbo.orders\", if that is where it is"}});
}

TEST_CASE("what only a SQL Server source has is read for it, and checked") {
  const std::string server = good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                                      "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x") +
                             "snapshot: { mode: never }\n";
  const auto with_zone = [&](const std::string& zone) {
    std::string yaml = server;
    return yaml.replace(yaml.find("  dsn:"), 0, "  time_zone: " + zone + "\n");
  };
  const Config config = parse_config(
      "c.yml", with_zone("W. Europe Standard Time") +
                   "cdc: { gap: { check_interval: 30s, warning_lag: 10m, critical_lag: 2h } }\n");
  REQUIRE(config.sqlserver);
  CHECK(config.sqlserver->time_zone == "W. Europe Standard Time");
  CHECK(config.sqlserver->gap_check_interval == std::chrono::seconds(30));
  CHECK(config.sqlserver->warning_lag == std::chrono::minutes(10));
  CHECK(config.sqlserver->critical_lag == std::chrono::hours(2));

  const Config plain = parse_config("c.yml", server);
  REQUIRE(plain.sqlserver);
  CHECK(plain.sqlserver->time_zone.empty());
  CHECK(plain.sqlserver->gap_check_interval == std::chrono::minutes(1));
  CHECK(plain.sqlserver->warning_lag == std::chrono::hours(1));
  CHECK(plain.sqlserver->critical_lag == std::chrono::hours(6));
  for (const std::string word : {"server", "null"}) {
    CHECK(parse_config("c.yml", with_zone(word)).sqlserver->time_zone.empty());
  }
  CHECK(parse_config("c.yml", with_zone("Europe/Berlin")).sqlserver->time_zone == "Europe/Berlin");
  check_mistakes({
      {with_zone("\"x'; DROP\""),
       "c.yml:4: source.time_zone: \"x'; DROP\" is no name of a time zone",
       "as the server has it (W. Europe Standard Time) or as IANA (Europe/Berlin); null is what "
       "the "
       "server says itself"},
      {server + "cdc: { gap: { warning_lag: 7h } }\n",
       "c.yml:11: cdc.gap.critical_lag: less than warning_lag, 7h"},
  });
}

TEST_CASE("keys without an effect yet are still checked") {
  check_mistakes({
      {kGoodYaml + "snapshot: { parallel: many }\n",
       "c.yml:10: snapshot.parallel: \"many\" is not a whole number from 1 to 64"},
      {kGoodYaml + "cdc: { gap: { recovery: pray } }\n",
       "c.yml:10: cdc.gap.recovery: \"pray\" is not one of: manual, snapshot"},
      {kGoodYaml + "storage: { change_store: { retain: long } }\n",
       "c.yml:10: storage.change_store.retain: \"long\" is not a duration: a whole number with ms, "
       "s, m, h or d, such as 500ms or 30s"},
  });
}

TEST_CASE("a documented default that works otherwise is a warning when it is written") {
  const Config config =
      parse_config("c.yml", kGoodYaml + "errors: { on_row_error: dead_letter }\n");
  CHECK(config.warnings ==
        std::vector<std::string>{
            "c.yml:10: errors.on_row_error: dead letters are not available yet: a row error stops "
            "the pipeline",
        });
}

}  // namespace
}  // namespace headgate::config
