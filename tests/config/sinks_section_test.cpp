#include <catch2/catch.hpp>

#include "config/config.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

// A second sink, from line 10 on, in flow style: one line each.
std::string with_sink(const std::string& keys) {
  return kGoodYaml + "  - { " + keys + " }\n";
}

TEST_CASE("sinks of both types are read") {
  const TemporaryFolder folder;
  const std::string file = folder.write("password", "hunter2\n");
  const Config config = parse_config(
      "c.yml", with_sink("name: report, type: postgres, dsn: postgresql://r@db2/report, "
                         "password_file: " +
                         file + ", mirror: { schema: live, truncate: native }") +
                   "  - { name: idle, type: postgres, dsn: host=db3, mirror: true, "
                   "stall_after: 30s, migrations: null }\n");
  REQUIRE(config.sinks.size() == 3);
  CHECK(config.sinks[0].name == "business");
  const auto& sqlite = std::get<sink::sqlite::Options>(config.sinks[0].driver);
  CHECK(sqlite.pipeline == "shop");
  CHECK(sqlite.name == "business");
  CHECK(sqlite.path == "./business.db");
  REQUIRE(config.sinks[0].mirror);
  CHECK(config.sinks[0].mirror->schema.empty());
  CHECK(config.sinks[0].mirror->truncate == TruncateMode::kDelete);

  const auto& postgres = std::get<sink::postgres::Options>(config.sinks[1].driver);
  CHECK(postgres.pipeline == "shop");
  CHECK(postgres.name == "report");
  CHECK(postgres.conninfo == "postgresql://r@db2/report");
  CHECK(postgres.password == "hunter2");
  REQUIRE(config.sinks[1].mirror);
  CHECK(config.sinks[1].mirror->schema == "live");
  CHECK(config.sinks[1].mirror->truncate == TruncateMode::kNative);
  REQUIRE(config.sinks[2].mirror);
  CHECK(config.warnings.empty());
}

TEST_CASE("a sink that mirrors nothing is taken with a warning") {
  const Config config = parse_config("c.yml", kGoodYaml + "    mirror: false\n");
  CHECK_FALSE(config.sinks[0].mirror);
  CHECK(config.warnings ==
        std::vector<std::string>{"c.yml:10: sinks[0].mirror: false, and skills are not available "
                                 "yet: nothing is written to this sink"});
}

TEST_CASE("what is wrong with a sink is told at its line and key") {
  const std::string sinks =
      "sinks:\n  - name: business\n    type: sqlite\n    path: ./business.db\n";
  const std::string remedy =
      "sinks: [{ name: copy, type: sqlite, path: ./copy.db }] is the simplest";
  check_mistakes({
      {good_but(sinks, ""), "c.yml:1: sinks: missing, and there is no default", remedy},
      {good_but(sinks, "sinks: []\n"), "c.yml:6: sinks: no sink is listed", remedy},
      {good_but(sinks, "sinks: x\n"), "c.yml:6: sinks: expected a list, found a single value"},
      {good_but(sinks, "sinks: [x]\n"),
       "c.yml:6: sinks[0]: expected a mapping of keys, found a single value"},
      {good_but(sinks, "sinks: [null]\n"),
       "c.yml:6: sinks[0]: expected a mapping of keys, found nothing"},
      {with_sink("type: sqlite, path: b.db"),
       "c.yml:10: sinks[1].name: missing, and there is no default"},
      {with_sink("name: b, path: b.db"),
       "c.yml:10: sinks[1].type: missing, and there is no default"},
      {with_sink("name: b, type: sqlite"),
       "c.yml:10: sinks[1].path: missing, and there is no default"},
      {with_sink("name: b, type: postgres"),
       "c.yml:10: sinks[1].dsn: missing, and there is no default"},
      {with_sink("name: b, type: kafka"),
       "c.yml:10: sinks[1].type: \"kafka\" is not one of: sqlite, postgres, sqlserver, mysql, "
       "odbc"},
      {with_sink("name: B-1, type: sqlite, path: b.db"),
       "c.yml:10: sinks[1].name: \"B-1\" is not a valid sink name (lower-case letters, digits and "
       "underscore, at most 63)"},
      {with_sink("name: business, type: sqlite, path: b.db"),
       "c.yml:10: sinks[1].name: \"business\" is the name of an earlier sink too"},
      {with_sink("name: b, type: sqlite, path: b.db, dsn: host=x"),
       "c.yml:10: sinks[1].dsn: does not apply to a sqlite sink"},
      {with_sink("name: b, type: postgres, path: b.db, dsn: host=x"),
       "c.yml:10: sinks[1].path: does not apply to a postgres sink"},
      {with_sink("name: b, type: sqlite, path: ':memory:'"),
       "c.yml:10: sinks[1].path: \":memory:\" is not the path of a file"},
      {with_sink("name: b, type: sqlite, path: b.db, mirror: maybe"),
       "c.yml:10: sinks[1].mirror: \"maybe\" is neither true nor false"},
      {with_sink("name: b, type: sqlite, path: b.db, mirror: [x]"),
       "c.yml:10: sinks[1].mirror: expected a single value, found a list"},
      {with_sink("name: b, type: sqlite, path: b.db, mirror: { shema: x }"),
       "c.yml:10: sinks[1].mirror.shema: unknown key, did you mean \"schema\"?"},
      {with_sink("name: b, type: sqlite, path: b.db, mirror: { truncate: drop }"),
       "c.yml:10: sinks[1].mirror.truncate: \"drop\" is not one of: delete, native"},
      {with_sink("name: b, type: postgres, dsn: host=x, mirror: { schema: pg_live }"),
       "c.yml:10: sinks[1].mirror.schema: \"pg_live\" is a schema of the server's own"},
  });
}

TEST_CASE("two sinks onto the same place, and one onto the source, are refused") {
  const std::string postgres = "type: postgres, dsn: 'host=db2 dbname=report user=a'";
  check_mistakes({
      {with_sink("name: b, type: sqlite, path: business.db"),
       "c.yml:10: sinks[1].path: the sink \"business\" writes to the same place"},
      {with_sink("name: b, type: sqlite, path: x/.././business.db, mirror: { schema: live }"),
       "c.yml:10: sinks[1].path: the sink \"business\" writes to the same place"},
      {with_sink("name: b, " + postgres) +
           "  - { name: c, type: postgres, dsn: 'postgresql://z@db2:5432/report' }\n",
       "c.yml:11: sinks[2].dsn: the sink \"b\" writes to the same place"},
      {with_sink("name: b, type: postgres, dsn: postgresql://x@db1/shop"),
       "c.yml:10: sinks[1].dsn: the source's own database: its tables would be written over",
       "another database, or mirror: { schema: NAME } with a schema that is not captured"},
  });
  CHECK(message_of(with_sink("name: b, " + postgres) + "  - { name: c, " + postgres +
                   ", mirror: { schema: live } }\n")
            .empty());
  CHECK(message_of(with_sink("name: b, type: postgres, dsn: postgresql://x@db1/shop, "
                             "mirror: { schema: live }"))
            .empty());
}

}  // namespace
}  // namespace headgate::config
