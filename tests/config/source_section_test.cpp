#include <catch2/catch.hpp>

#include "config/config.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

std::string with_source(const std::string& line) {
  return good_but("source:\n", "source:\n  " + line + "\n");
}

std::string with_tables(const std::string& list) {
  return good_but("[public.orders]", list);
}

TEST_CASE("slot and publication are named after the pipeline by default") {
  const Config config = parse_config("c.yml", good_but("shop\n", "eu-shop_2\n"));
  CHECK(config.source.slot == "headgate_eu_shop_2");
  CHECK(config.source.publication == "headgate_eu_shop_2");
}

TEST_CASE("transactions in progress are asked for unless that is switched off") {
  CHECK(parse_config("c.yml", good_but("shop\n", "shop\n")).source.streaming);
  CHECK(parse_config("c.yml", with_source("streaming: on")).source.streaming);
  CHECK_FALSE(parse_config("c.yml", with_source("streaming: off")).source.streaming);
  check_mistakes({{with_source("streaming: parallel"),
                   "c.yml:3: source.streaming: \"parallel\" is not one of: on, off"}});
}

TEST_CASE("names that the server or a sink could not hold are refused") {
  const std::string name48(48, 'a');
  check_mistakes({
      {good_but("pipeline: shop\n", ""), "c.yml:1: pipeline: missing, and there is no default"},
      {good_but("shop\n", "eu.shop\n"),
       "c.yml:1: pipeline: \"eu.shop\" is not a valid pipeline name (lower-case letters, digits, "
       "underscore and hyphen, at most 48)"},
      {good_but("shop\n", std::string(49, 'a') + "\n"),
       "c.yml:1: pipeline: \"" + std::string(49, 'a') +
           "\" is not a valid pipeline name (lower-case letters, digits, underscore and hyphen, at "
           "most 48)"},
      {good_but("shop\n", name48 + "\n"),
       "c.yml:2: source.publication: its default, headgate_" + name48 +
           ", is not a valid publication name (letters, digits, underscore and hyphen, at most 56: "
           "NAME_append must fit into 63)",
       "choose a shorter one, or a shorter pipeline name"},
      {with_source("slot: Orders-Slot"),
       "c.yml:3: source.slot: \"Orders-Slot\" is not a valid slot name (lower-case letters, digits "
       "and underscore, at most 63)"},
      {with_source("publication: a b"),
       "c.yml:3: source.publication: \"a b\" is not a valid publication name (letters, digits, "
       "underscore and hyphen, at most 56: NAME_append must fit into 63)"},
  });
  CHECK(message_of(good_but("shop\n", std::string(47, 'a') + "\n")).empty());
}

TEST_CASE("the source's connection string is checked without being told") {
  const TemporaryFolder folder;
  const std::string file = folder.write("password", "from-file\n");
  const std::string dsn = "host=db1 dbname=shop user=headgate";
  check_mistakes({
      {good_but("  dsn: " + dsn + "\n", ""),
       "c.yml:2: source.dsn: missing, and there is no default"},
      {good_but("source:\n  type: postgres\n  dsn: " + dsn + "\n", ""),
       "c.yml:1: source: missing, and there is no default"},
      {good_but(dsn, "db1"),
       "c.yml:4: source.dsn: neither keyword=value words nor a postgresql:// URI",
       "for example \"host=db1 dbname=shop user=headgate\", or \"postgresql://headgate@db1/shop\""},
      {good_but("dbname=shop", "dbnam=shop"),
       "c.yml:4: source.dsn: an unknown keyword in it, did you mean \"dbname\"?"},
      {good_but("user=headgate", "password=x\n  password_file: " + file),
       "c.yml:5: source.password_file: the dsn has a password too", "take it out of the dsn"},
  });
}

TEST_CASE("a password leaves the connection string for its own option") {
  const EnvironmentVariable secret("HEADGATE_TEST_SECRET", "hunter2");
  const Config keywords =
      parse_config("c.yml", good_but("user=headgate", "password='${HEADGATE_TEST_SECRET}' user=a"));
  CHECK(keywords.source.conninfo == "host=db1 dbname=shop user=a");
  CHECK(keywords.source.password == "hunter2");

  const Config uri = parse_config(
      "c.yml", good_but("host=db1 dbname=shop user=headgate", "postgresql://a:hunter2@db1/shop"));
  CHECK(uri.source.conninfo == "postgresql://a@db1/shop");
  CHECK(uri.source.password == "hunter2");
}

TEST_CASE("how a SQL Server's copy points begin is configured with the copy") {
  const std::string server = good_but("type: postgres\n  dsn: host=db1 dbname=shop user=headgate",
                                      "type: sqlserver\n  dsn: Driver=FreeTDS;Server=db1;PWD=x");
  const Config plain = parse_config("c.yml", server);
  REQUIRE(plain.sqlserver);
  CHECK_FALSE(plain.sqlserver->lock_tables);
  CHECK(plain.sqlserver->table_lock_timeout == std::chrono::seconds(1));
  CHECK(plain.sqlserver->commit_settles == std::chrono::seconds(1));
  const Config brief = parse_config(
      "c.yml", server + "snapshot: { locking: brief, lock_timeout: 250ms, commit_settles: 0s }\n");
  REQUIRE(brief.sqlserver);
  CHECK(brief.sqlserver->lock_tables);
  CHECK(brief.sqlserver->table_lock_timeout == std::chrono::milliseconds(250));
  CHECK(brief.sqlserver->commit_settles == Duration{});
  check_mistakes({
      {server + "snapshot: { lock_timeout: 1m }\n",
       "c.yml:10: snapshot.lock_timeout: \"1m\" is not from 1ms to 30s"},
      {server + "snapshot: { parallel: 4 }\n",
       "c.yml:10: snapshot.parallel: not available in this version: 4 (only 2)"},
      {server + "snapshot: { locking: long }\n",
       "c.yml:10: snapshot.locking: \"long\" is not one of: none, brief"},
  });
}

TEST_CASE("chunks of a PostgreSQL source are read as many at a time as is said") {
  CHECK(parse_config("c.yml", kGoodYaml).snapshot.parallel == 2);
  CHECK(parse_config("c.yml", std::string(kGoodYaml) + "snapshot: { parallel: 1 }\n")
            .snapshot.parallel == 1);
  check_mistakes({{std::string(kGoodYaml) + "snapshot: { parallel: 0 }\n",
                   "c.yml:10: snapshot.parallel: \"0\" is not a whole number from 1 to 64"}});
}

TEST_CASE("decoding_work_mem is a size in the server's notation") {
  const auto read = [](const std::string& size) {
    return parse_config("c.yml", with_source("decoding_work_mem: " + size))
        .source.decoding_work_mem;
  };
  CHECK(read("64kB") == "64kB");
  CHECK(read("1MB") == "1024kB");
  CHECK(read("1MiB") == "1024kB");
  CHECK(read("2GB") == "2097152kB");
  CHECK_FALSE(read("null"));
  const std::string form =
      " is not a size as PostgreSQL takes it: a whole number with kB, MB or GB, such as 256MB";
  check_mistakes({
      {with_source("decoding_work_mem: 65536"),
       "c.yml:3: source.decoding_work_mem: \"65536\"" + form},
      {with_source("decoding_work_mem: lots"),
       "c.yml:3: source.decoding_work_mem: \"lots\"" + form},
      {with_source("decoding_work_mem: 8kB"),
       "c.yml:3: source.decoding_work_mem: \"8kB\" is not from 64kB to 2047GB"},
      {with_source("decoding_work_mem: 2048GB"),
       "c.yml:3: source.decoding_work_mem: \"2048GB\" is not from 64kB to 2047GB"},
  });
}

TEST_CASE("good table patterns are taken as they are") {
  const Config config = parse_config(
      "c.yml",
      with_tables("[public.orders, \"sales.*\", \"!sales.tmp_*\", \"*.*\", 'Mixed.Case Name', "
                  "\"!*.headgate_x\"]"));
  CHECK(config.source.tables == std::vector<std::string>{"public.orders", "sales.*", "!sales.tmp_*",
                                                         "*.*", "Mixed.Case Name",
                                                         "!*.headgate_x"});
}

TEST_CASE("table patterns that would capture nothing, or what nobody means, are refused") {
  check_mistakes({
      {good_but("tables: [public.orders]\n", ""),
       "c.yml:1: tables: missing, and there is no default",
       "tables: [\"public.*\"] captures all of a schema"},
      {with_tables("[]"), "c.yml:5: tables: no table is listed",
       "tables: [\"public.*\"] captures all of a schema"},
      {with_tables("public.orders"), "c.yml:5: tables: expected a list, found a single value"},
      {with_tables("\n  - public.a\n  -\n"),
       "c.yml:5: tables[1]: expected a single value, found nothing"},
      {with_tables("[orders]"), "c.yml:5: tables[0]: \"orders\" has no schema",
       "\"public.orders\", if that is where it is"},
      {with_tables("[public.a, '!b']"), "c.yml:5: tables[1]: \"!b\" has no schema",
       "\"!public.b\", if that is where it is"},
      {with_tables("\n  - public.a\n  - b.c.d\n"),
       "c.yml:7: tables[1]: \"b.c.d\" has more than one dot",
       "schema.table; for a name with a dot in it write * in place of the dot"},
      {with_tables("[\".orders\"]"),
       "c.yml:5: tables[0]: \".orders\" has an empty schema or table"},
      {with_tables("['!public.x']"),
       "c.yml:5: tables[0]: \"!public.x\" excludes nothing: no pattern before it includes any "
       "table",
       "an exclusion stands after the pattern that it takes tables from"},
      {with_tables("['!public.x', 'public.*']"),
       "c.yml:5: tables[0]: \"!public.x\" excludes nothing: no pattern before it includes any "
       "table"},
      {with_tables("['public.\"Orders\"']"),
       "c.yml:5: tables[0]: \"public.\"Orders\"\" has quotes or control characters: write names as "
       "the server stores them"},
      {with_tables("['public. orders']"),
       "c.yml:5: tables[0]: \"public. orders\" begins or ends a name with a blank"},
      {with_tables("[public." + std::string(64, 'x') + "]"),
       "c.yml:5: tables[0]: \"public." + std::string(64, 'x') +
           "\" has a name of more than 63 bytes, which PostgreSQL does not have"},
      {with_tables("[public.headgate_positions]"),
       "c.yml:5: tables[0]: \"public.headgate_positions\" names a table of Headgate's own, which "
       "is "
       "never captured"},
      {with_tables("[public.headgate_*]"),
       "c.yml:5: tables[0]: \"public.headgate_*\" names a table of Headgate's own, which is never "
       "captured"},
  });
}

}  // namespace
}  // namespace headgate::config
