#include "config/load_config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config_test_support.hpp"

namespace headgate::config {
namespace {

using namespace std::chrono_literals;

std::string load_problem(const std::string& path) {
  try {
    load_config(path);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    return error.what();
  }
  return {};
}

TEST_CASE("a SQL Server source has its own options") {
  const Config config = parse_config(
      "c.yml",
      "pipeline: shop\n"
      "source: { type: sqlserver, dsn: \"Driver=FreeTDS;Server=db1;Database=shop;UID=reader\" }\n"
      "tables: [dbo.orders]\n"
      "snapshot: { mode: never }\n"
      "sinks: [{ name: copy, type: sqlite, path: ./copy.db }]\n");
  REQUIRE(config.sqlserver.has_value());
  CHECK(config.sqlserver->connection_string ==
        "Driver=FreeTDS;Server=db1;Database=shop;UID=reader");
  CHECK(config.source.tables == std::vector<std::string>{"dbo.orders"});
}

TEST_CASE("a small file is filled up with the documented defaults") {
  const Config config = parse_config("c.yml", kGoodYaml);
  CHECK(config.file == "c.yml");
  CHECK(config.pipeline == "shop");
  CHECK(config.source.conninfo == "host=db1 dbname=shop user=headgate");
  CHECK(config.source.password.empty());
  CHECK(config.source.slot == "headgate_shop");
  CHECK(config.source.publication == "headgate_shop");
  CHECK(config.source.tables == std::vector<std::string>{"public.orders"});
  CHECK(config.source.keyless == source::postgres::KeylessPolicy::kAppend);
  CHECK_FALSE(config.source.decoding_work_mem);
  CHECK(config.cdc.interval == 500ms);
  CHECK(config.cdc.max_transactions == 10000);
  CHECK(config.cdc.max_batch_bytes == std::size_t{64} << 20U);
  CHECK(config.snapshot.mode == SnapshotMode::kInitial);
  CHECK(config.snapshot.in_chunks);
  CHECK(config.snapshot.existing == "refuse");
  REQUIRE(config.sinks.size() == 1);
  CHECK(config.storage_dir == "./data");
  CHECK(config.memory_limit == std::uint64_t{256} << 20U);
  CHECK(config.shutdown_timeout == 30s);
  CHECK(config.http.listen == "127.0.0.1:9020");
  CHECK(config.http.token.empty());
  CHECK(config.logging.level == "info");
  CHECK(config.logging.format == "text");
  CHECK(config.logging.file.empty());
  CHECK(config.warnings.empty());
}

TEST_CASE("every key that works reaches its option") {
  const TemporaryFolder folder;
  const std::string token = folder.write("token", "t0ken\n");
  const EnvironmentVariable level("HEADGATE_TEST_LEVEL", "debug");
  const Config config = parse_config(
      "c.yml", good_but("source:\n",
                        "source:\n  slot: my_slot\n  publication: MyPub\n"
                        "  decoding_work_mem: 256MB\n  mode: logical\n") +
                   "keyless: refuse\n"
                   "schema_changes: pause\n"
                   "isolation: table\n"
                   "cdc: { interval: 1s, max_transactions: 5, max_batch_bytes: 1MiB }\n"
                   "snapshot: { mode: never, existing: keep }\n"
                   "storage: { dir: /var/lib/x }\n"
                   "limits: { memory: 1GiB }\n"
                   "shutdown_timeout: 2m\n"
                   "http: { listen: '0.0.0.0:1', token_file: " +
                   token +
                   " }\n"
                   "logging: { level: '${HEADGATE_TEST_LEVEL}', format: json, file: x.log }\n"
                   "errors: { on_row_error: stop }\n");
  CHECK(config.source.slot == "my_slot");
  CHECK(config.source.publication == "MyPub");
  CHECK(config.source.decoding_work_mem == "262144kB");
  CHECK(config.source.keyless == source::postgres::KeylessPolicy::kRefuse);
  CHECK(config.schema_changes == SchemaChanges::kPause);
  CHECK(config.isolation == Isolation::kTable);
  CHECK(config.cdc.interval == 1s);
  CHECK(config.cdc.max_transactions == 5);
  CHECK(config.cdc.max_batch_bytes == std::size_t{1} << 20U);
  CHECK(config.snapshot.mode == SnapshotMode::kNever);
  CHECK(config.snapshot.existing == "keep");
  CHECK(config.storage_dir == "/var/lib/x");
  CHECK(config.memory_limit == std::uint64_t{1} << 30U);
  CHECK(config.shutdown_timeout == 2min);
  CHECK(config.http.listen == "0.0.0.0:1");
  CHECK(config.http.token == "t0ken");
  CHECK(config.logging.level == "debug");
  CHECK(config.logging.format == "json");
  CHECK(config.logging.file == "x.log");
  CHECK(config.warnings.empty());
}

TEST_CASE("a null section or key has its defaults, and null switches http off") {
  for (const std::string key : {"cdc", "snapshot", "skills", "errors", "storage", "limits",
                                "logging", "alerts", "keyless", "shutdown_timeout", "isolation"}) {
    INFO(key);
    CHECK(message_of(kGoodYaml + key + ": null\n").empty());
    CHECK(message_of(kGoodYaml + key + ":\n").empty());
  }
  CHECK(parse_config("c.yml", kGoodYaml + "http: null\n").http.listen.empty());
  CHECK(parse_config("c.yml", kGoodYaml + "http: { listen: null }\n").http.listen.empty());
  CHECK(parse_config("c.yml", kGoodYaml + "http: {}\n").http.listen == "127.0.0.1:9020");
}

TEST_CASE("a smaller memory limit makes the default batch smaller, not one that was written") {
  const Config config = parse_config("c.yml", kGoodYaml + "limits: { memory: 32MiB }\n");
  CHECK(config.cdc.max_batch_bytes == std::size_t{8} << 20U);
  check_mistakes({{kGoodYaml + "cdc: { max_batch_bytes: 64MiB }\nlimits: { memory: 32MiB }\n",
                   "c.yml:10: cdc.max_batch_bytes: more than limits.memory, 32MiB"}});
}

TEST_CASE("all findings are told at once, by line") {
  CHECK(findings_of("pipeline: Shop\nsource:\n  type: oracle\n  slott: x\ntables: [orders]\n") ==
        std::vector<std::string>{
            "c.yml:1: pipeline: \"Shop\" is not a valid pipeline name (lower-case letters, digits, "
            "underscore and hyphen, at most 48)",
            "c.yml:1: sinks: missing, and there is no default",
            "  sinks: [{ name: copy, type: sqlite, path: ./copy.db }] is the simplest",
            "c.yml:2: source.dsn: missing, and there is no default",
            "c.yml:3: source.type: \"oracle\" is not one of: postgres, sqlserver",
            "c.yml:4: source.slott: unknown key, did you mean \"slot\"?",
            "c.yml:5: tables[0]: \"orders\" has no schema",
            "  \"public.orders\", if that is where it is",
        });
}

TEST_CASE("values of the wrong kind or out of range are findings at their line and key") {
  check_mistakes({
      {kGoodYaml + "cdc: fast\n",
       "c.yml:10: cdc: expected a mapping of keys, found a single value"},
      {kGoodYaml + "cdc:\n  interval: [1s]\n",
       "c.yml:11: cdc.interval: expected a single value, found a list"},
      {kGoodYaml + "cdc:\n  interval: 5\n",
       "c.yml:11: cdc.interval: \"5\" is not a duration: a whole number with ms, s, m, h or d, "
       "such "
       "as 500ms or 30s"},
      {kGoodYaml + "cdc:\n  interval: 2h\n",
       "c.yml:11: cdc.interval: \"2h\" is not from 1ms to 1h"},
      {kGoodYaml + "cdc:\n  interval: ''\n", "c.yml:11: cdc.interval: empty",
       "leave the key out for its default"},
      {kGoodYaml + "cdc:\n  max_transactions: 0\n",
       "c.yml:11: cdc.max_transactions: \"0\" is not a whole number from 1 to 10000000"},
      {kGoodYaml + "cdc:\n  max_batch_bytes: 64M\n",
       "c.yml:11: cdc.max_batch_bytes: \"64M\" is not a size: a whole number of bytes, or one with "
       "KiB, MiB, GiB, TiB (1024) or kB, MB, GB, TB (1000)"},
      {kGoodYaml + "limits: { memory: 1MiB }\n",
       "c.yml:10: limits.memory: \"1MiB\" is not from 16MiB to 1TiB"},
      {kGoodYaml + "cdc: { allow_torn_transactions: yes }\n",
       "c.yml:10: cdc.allow_torn_transactions: \"yes\" is neither true nor false"},
      {kGoodYaml + "schema_changes: follow\n",
       "c.yml:10: schema_changes: \"follow\" is not one of: apply, pause, ignore"},
      {kGoodYaml + "isolation: row\n",
       "c.yml:10: isolation: \"row\" is not one of: pipeline, table"},
      {kGoodYaml + "keyless: skip\n", "c.yml:10: keyless: \"skip\" is not one of: append, refuse"},
      {kGoodYaml + "shutdown_timeout: 0s\n",
       "c.yml:10: shutdown_timeout: \"0s\" is not from 1s to 1h"},
      {kGoodYaml + "logging: { level: loud }\n",
       "c.yml:10: logging.level: \"loud\" is not one of: trace, debug, info, warn, error"},
      {kGoodYaml + "logging: { file: '${HEADGATE_UNSET}' }\n",
       "c.yml:10: logging.file: environment variable HEADGATE_UNSET is not set",
       "$${ stands for a literal ${"},
      {kGoodYaml + "alerts: { type: webhook }\n",
       "c.yml:10: alerts: expected a list, found a mapping"},
      {kGoodYaml + "snapshot: { existing: drop }\n",
       "c.yml:10: snapshot.existing: \"drop\" is not one of: keep, replace, refuse"},
      {kGoodYaml + "storage: { dir: [] }\n",
       "c.yml:10: storage.dir: expected a single value, found a list"},
  });
}

TEST_CASE("an unknown key is told with what was probably meant") {
  check_mistakes({
      {kGoodYaml + "pipelines: x\n",
       "c.yml:10: pipelines: unknown key, did you mean \"pipeline\"?"},
      {kGoodYaml + "slot: x\n", "c.yml:10: slot: unknown key here, it belongs under `source`"},
      {kGoodYaml + "retain: 7d\n",
       "c.yml:10: retain: unknown key here, it belongs under `storage.change_store` or under "
       "`storage.monitor`"},
      {kGoodYaml + "cdc:\n  shutdown_timeout: 1s\n",
       "c.yml:11: cdc.shutdown_timeout: unknown key here, it belongs at the top"},
      {kGoodYaml + "logging:\n  colour: blue\n",
       "c.yml:11: logging.colour: unknown key, known are: level, format, file"},
      {kGoodYaml + "cdc:\n  gap:\n    recover: manual\n",
       "c.yml:12: cdc.gap.recover: unknown key, did you mean \"recovery\"?"},
      {good_but("source:\n", "source:\n  password: x\n"),
       "c.yml:3: source.password: unknown key: passwords are not written here",
       "put it into a file of mode 0600 and name that with password_file:"},
      {good_but("source:\n", "source:\n  <<: {}\n"),
       "c.yml:3: source.<<: merge keys are not supported"},
      {good_but("    path", "    file: x\n    path"),
       "c.yml:9: sinks[0].file: unknown key here, it belongs under `logging`"},
      {kGoodYaml + "\"a\\nb\": x\n",
       "c.yml:10: a\\x0ab: unknown key, known are: pipeline, source, tables, keyless, new_tables, "
       "schema_changes, isolation, limits, cdc, snapshot, sinks, skills, errors, storage, "
       "shutdown_timeout, http, alerts, logging"},
  });
}

TEST_CASE("http.listen is judged together with the token") {
  const TemporaryFolder folder;
  const std::string blanks = folder.write("token", "two words");
  check_mistakes({
      {kGoodYaml + "http: { listen: '9020' }\n",
       "c.yml:10: http.listen: \"9020\" has no port (host:port, [v6]:port or unix:/path)"},
      {kGoodYaml + "http: { listen: '0.0.0.0:9020' }\n",
       "c.yml:10: http.listen: \"0.0.0.0:9020\" can be reached from elsewhere, and there is no "
       "token_file",
       "name a file with a token in http.token_file, or listen on 127.0.0.1"},
      {kGoodYaml + "http: { token_file: " + blanks + " }\n",
       "c.yml:10: http.token_file: the token has blanks, line ends or other than ASCII characters"},
  });
  CHECK(message_of(kGoodYaml + "http: { listen: 'unix:/run/headgate.sock' }\n").empty());
  CHECK(message_of(kGoodYaml + "http: { listen: '[::1]:9020' }\n").empty());
}

TEST_CASE("a duplicate key is a finding, also beside others") {
  CHECK(findings_of(kGoodYaml + "pipeline: other\nkeyless: maybe\n") ==
        std::vector<std::string>{
            "c.yml:10: pipeline: stands here a second time (first on line 1)",
            "c.yml:11: keyless: \"maybe\" is not one of: append, refuse",
        });
}

TEST_CASE("a file that cannot be read says why") {
  const TemporaryFolder folder;
  CHECK(load_problem(folder.path("none.yml")) ==
        folder.path("none.yml") + ": cannot read it: No such file or directory");
  CHECK(load_problem(folder.path()) == folder.path() + ": cannot read it: Is a directory");
  CHECK(load_problem(folder.write("empty.yml", "")).find("the file is empty") != std::string::npos);
  CHECK(load_problem("/dev/zero") == "/dev/zero: larger than 1MiB: is this the right file?");
  if (::geteuid() != 0) {
    const std::string closed = folder.write("closed.yml", kGoodYaml, 0);
    CHECK(load_problem(closed) == closed + ": cannot read it: Permission denied");
  }
  const std::string good = folder.write("good.yml", kGoodYaml, 0644);
  CHECK(load_config(good).file == good);
}

}  // namespace
}  // namespace headgate::config
