// First copies from SQL Server that are out of the ordinary: the double, through FreeTDS's real
// driver, by the whole daemon.

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/temp_dir.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

// A source whose changes are captured at once, and what mirrors it into a file.
class Setup {
 public:
  explicit Setup(const std::string& more = {}) {
    server.execute("EXEC sys.sp_cdc_enable_db");
    server.set_capture(CaptureMode::kAutomatic);
    server.set_idle_rows(100ms);
    config.tables = {"dbo.*"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
    config.source_type = "sqlserver";
    config.source_dsn = server.connection_string(HEADGATE_TDSODBC);
    config.more = "snapshot: { commit_settles: 20ms, chunk_rows: 10" +
                  (more.empty() ? more : ", " + more) + " }\n";
  }

  void create(const std::string& name, const std::string& columns) {
    server.execute(fmt::format("CREATE TABLE dbo.{} ({})", name, columns));
    server.execute(
        fmt::format("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{0}', "
                    "@role_name = NULL, @capture_instance = N'{1}'",
                    name, ("dbo_" + name).substr(0, 100)));
  }
  // A table of so many numbered rows.
  void fill(const std::string& name, int rows) {
    create(name, "id int NOT NULL PRIMARY KEY, t varchar(20) NULL");
    std::string sql = "BEGIN TRAN; ";
    for (int i = 0; i < rows; ++i) {
      sql += fmt::format("INSERT INTO dbo.{} VALUES ({}, 'row'); ", name, i);
    }
    server.execute(sql + "COMMIT");
  }
  std::string mirrored(const std::string& sql) {
    return SqliteFile(folder.path("mirror.db")).value(sql);
  }
  bool has(const std::string& table) {
    return mirrored("SELECT COUNT(*) FROM sqlite_master WHERE name = '" + table + "'") == "1";
  }
  // Waits until the sink has the table, with so many rows.
  void wait_for(const Daemon& daemon, const std::string& table, int rows) {
    daemon.wait_until("table " + table + " is there", 60s, [&] {
      return has(table) && mirrored("SELECT COUNT(*) FROM " + table) == std::to_string(rows);
    });
  }
  void wait_for_chunk(const Daemon& daemon) {
    daemon.wait_until("a chunk is there", 60s,
                      [&] { return count(daemon.log(), "copy started") > 0 && any_chunk(); });
  }

  TempDir folder;
  SqlServerDouble server;
  PipelineConfig config;

 private:
  bool any_chunk() {
    SqliteFile file(folder.path("mirror.db"));
    for (const auto& row : file.query("SELECT * FROM headgate_tables")) {
      if (count(row.back().value_or(""), "\"chunks\":") > 0) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace

TEST_CASE("an empty table, one row, a thousand columns and rows of tens of megabytes are copied") {
  Setup setup(GENERATE("locking: none", "locking: brief"));
  setup.create("empty", "id int NOT NULL PRIMARY KEY, t varchar(20) NULL");
  setup.fill("one", 1);
  constexpr int kColumns = 999;
  std::string columns = "id int NOT NULL PRIMARY KEY";
  std::string values = "1";
  for (int i = 1; i <= kColumns; ++i) {
    columns += fmt::format(", c{} int NULL", i);
    values += fmt::format(", {}", i);
  }
  setup.create("wide", columns);
  setup.server.execute("INSERT INTO dbo.wide VALUES (" + values + ")");
  setup.create("large", "id int NOT NULL PRIMARY KEY, t nvarchar(max) NULL, b varbinary(max) NULL");
  for (int i = 0; i < 3; ++i) {
    setup.server.execute(fmt::format(
        "INSERT INTO dbo.large VALUES ({0}, REPLICATE(CONVERT(nvarchar(max), N'é{0}'), "
        "4000000), CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'b{0}'), 10000000)))",
        i));
  }
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  daemon.wait_ready(120s);
  setup.wait_for(daemon, "empty", 0);
  setup.wait_for(daemon, "one", 1);
  CHECK(setup.mirrored("SELECT c1 + c500 + c999 FROM wide") == "1500");
  CHECK(setup.mirrored("SELECT SUM(length(t)) FROM large") == "24000000");
  CHECK(setup.mirrored("SELECT SUM(length(b)) FROM large") == "60000000");
  CHECK(setup.mirrored("SELECT COUNT(*) FROM large WHERE substr(t, 7999999) = 'é' || id AND "
                       "substr(b, 19999999) = CAST('b' || id AS BLOB)") == "3");
  setup.server.execute("UPDATE dbo.wide SET c999 = -1; UPDATE dbo.large SET t = N'small'");
  daemon.wait_until("they are followed", 60s, [&] {
    return setup.mirrored("SELECT c999 FROM wide") == "-1" &&
           setup.mirrored("SELECT SUM(length(t)) FROM large") == "15";
  });
  CHECK(daemon.terminate().ok());
}

TEST_CASE("of many tables, one that may not be read is named with the GRANT, and waits alone") {
  Setup setup(GENERATE("locking: none", "locking: brief"));
  for (const char* name : {"t1", "t2", "t3"}) {
    setup.fill(name, 25);
  }
  setup.server.execute(
      "CREATE LOGIN [reader] WITH PASSWORD = 'Read_1'; CREATE USER [reader] FOR LOGIN [reader]; "
      "GRANT SELECT ON SCHEMA::[cdc] TO [reader]; GRANT VIEW SERVER STATE TO [reader]; GRANT "
      "SELECT ON [dbo].[t1] TO [reader]; GRANT SELECT ON [dbo].[t3] TO [reader]; GRANT VIEW "
      "DEFINITION TO [reader]");
  std::string& dsn = setup.config.source_dsn;
  dsn.replace(dsn.find("UID=sa"), 6, "UID=reader");
  dsn.replace(dsn.find("PWD=Double_1"), 12, "PWD=Read_1");
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  const std::string grant = "GRANT SELECT ON [dbo].[t2] TO [reader];";
  setup.wait_for(daemon, "t1", 25);
  setup.wait_for(daemon, "t3", 25);
  CHECK(!setup.has("t2"));
  CHECK(count(daemon.log(), "table is left behind, and copied by itself table=dbo.t2") == 1);
  CHECK(count(daemon.log(), grant) > 0);
  CHECK(count(daemon.command({"snapshot", "status"}).out, grant) == 1);
  setup.server.execute(
      "INSERT INTO dbo.t1 VALUES (100, 'followed'); DELETE FROM dbo.t2 WHERE id = 1");
  setup.wait_for(daemon, "t1", 26);

  setup.server.execute(grant);
  setup.wait_for(daemon, "t2", 24);
  CHECK(daemon.terminate().ok());
}

// SQL Server's names may have 128 characters, PostgreSQL's 63 bytes.
TEST_CASE(
    "a name that PostgreSQL would cut stops the daemon with the remedy, and SQLite takes it") {
  const std::string table(128, 't');
  const std::string column(128, 'c');
  Setup setup(GENERATE("mode: initial", "mode: never, existing: keep"));
  demo::ThrowawayCluster cluster({{}, {}, false});
  const bool of_column = GENERATE(false, true);
  setup.create(of_column ? "short" : table,
               "id int NOT NULL PRIMARY KEY, " + (of_column ? column : "n") + " int NULL");
  setup.config.tables = {"dbo." + (of_column ? "short" : table)};
  Daemon to_file(setup.folder, setup.config);
  to_file.start();
  to_file.wait_ready(60s);
  setup.server.execute(
      fmt::format("INSERT INTO dbo.{} VALUES (1, 2)", of_column ? "short" : table));
  to_file.wait_until("the row is there", 30s, [&] {
    return setup.mirrored(fmt::format("SELECT {} FROM {}", of_column ? column : "n",
                                      of_column ? "short" : table)) == "2";
  });
  CHECK(to_file.terminate().ok());

  setup.config.sinks = {postgres_sink("server", cluster.conninfo())};
  Daemon to_server(setup.folder, setup.config, "to_server");
  to_server.start();
  CHECK(to_server.wait_exit().code == 77);
  CHECK(count(to_server.log(), "PostgreSQL would cut a name of 128 bytes to 63: " +
                                   (of_column ? column : table)) > 0);
  CHECK(count(to_server.log(), "rename it at the source, or leave its table out of `tables`") > 0);
  CHECK(demo::PgSession(cluster.conninfo())
            .value("SELECT count(*) FROM pg_tables WHERE schemaname = 'dbo'") == "0");
}

TEST_CASE(
    "with mode: never rows come when somebody asks for them, and after a restart all of them") {
  Setup setup("mode: never, existing: keep, max_rate: 16KiB");
  setup.fill("first", 200);
  setup.fill("second", 20);
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  daemon.wait_ready(60s);
  CHECK(setup.mirrored("SELECT COUNT(*) FROM first") == "0");
  setup.server.execute("INSERT INTO dbo.second VALUES (100, 'followed')");
  setup.wait_for(daemon, "second", 1);

  REQUIRE(daemon.command({"snapshot", "start", "dbo.first"}).ok());
  setup.wait_for_chunk(daemon);
  setup.server.execute("UPDATE dbo.first SET t = 'changed' WHERE id % 10 = 1");
  daemon.kill9();
  daemon.start();
  setup.wait_for(daemon, "first", 200);
  CHECK(count(daemon.log(), "copy goes on table=dbo.first") == 1);
  CHECK(setup.mirrored("SELECT COUNT(*) FROM second") == "1");  // nobody has asked for its rows
  daemon.wait_until("the changes are there", 30s, [&] {
    return setup.mirrored("SELECT COUNT(*) FROM first WHERE t = 'changed'") == "20";
  });
  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  setup.wait_for(daemon, "second", 21);
  daemon.wait_ready(60s);
  setup.server.execute("DELETE FROM dbo.first WHERE id < 10");
  setup.wait_for(daemon, "first", 190);
  CHECK(daemon.terminate().ok());
}

// A new sink needs a position at once, while the rows of an older one's copy are under way.
TEST_CASE(
    "with mode: never a sink that comes later gets its position, and a copy goes on behind it") {
  Setup setup("mode: never, existing: keep, max_rate: 16KiB");
  setup.fill("first", 200);
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  daemon.wait_ready(60s);
  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  setup.wait_for_chunk(daemon);
  daemon.kill9();
  setup.config.sinks.push_back(sqlite_sink("other", setup.folder.path("other.db")));
  Daemon both(setup.folder, setup.config, "both");
  both.start();
  setup.wait_for(both, "first", 200);
  CHECK(count(both.log(), "copy goes on table=dbo.first") == 1);
  setup.server.execute("INSERT INTO dbo.first VALUES (1000, 'new')");
  setup.wait_for(both, "first", 201);
  SqliteFile other(setup.folder.path("other.db"));
  both.wait_until("the other sink follows", 30s,
                  [&] { return other.value("SELECT t FROM first WHERE id = 1000") == "new"; });
  CHECK(both.terminate().ok());
}

// README.md, "Without snapshot isolation".
TEST_CASE("tables that a person fills beside mode: never end like the source") {
  Setup setup("mode: never, existing: keep");
  setup.server.execute("ALTER DATABASE shop SET ALLOW_SNAPSHOT_ISOLATION OFF");
  const bool to_server = GENERATE(false, true);
  std::optional<demo::ThrowawayCluster> cluster;
  if (to_server) {
    cluster.emplace(demo::ClusterOptions{{}, {}, false});
    setup.config.sinks = {postgres_sink("server", cluster->conninfo())};
  }
  setup.fill("first", 60);
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  daemon.wait_ready(60s);
  CHECK(daemon.terminate().ok());
  const auto change = [&](int round) {
    setup.server.execute(fmt::format(
        "INSERT INTO dbo.first VALUES ({0}, 'new'), ({1}, 'new'); UPDATE dbo.first SET t "
        "= 'round {2}' WHERE id % 5 = {2}; DELETE FROM dbo.first WHERE id % 7 = {2}; "
        "UPDATE dbo.first SET id = id + 1000 WHERE id % 11 = {2} AND id < 60",
        100 + round, 200 + round, round));
  };
  const auto source = [&] {
    auto rows =
        setup.server.execute("SELECT CONVERT(varchar(10), id), t FROM dbo.first").back().rows;
    std::sort(rows.begin(), rows.end());
    return rows;
  };
  change(1);
  std::string fill;
  for (const auto& row : source()) {
    fill += fmt::format("INSERT INTO {}first VALUES ({}, '{}');", to_server ? "dbo." : "", row[0],
                        row[1]);
  }
  if (to_server) {
    demo::PgSession(cluster->conninfo()).execute(fill);
  } else {
    SqliteFile(setup.folder.path("mirror.db")).execute(fill);
  }
  change(2);
  daemon.start();
  change(3);
  daemon.wait_until("the mirror is like the source", 60s, [&] {
    const std::string query = "SELECT CAST(id AS varchar(10)), t FROM ";
    const auto rows = to_server ? demo::PgSession(cluster->conninfo()).query(query + "dbo.first")
                                : SqliteFile(setup.folder.path("mirror.db")).query(query + "first");
    std::vector<std::vector<std::string>> mirror;
    for (const auto& row : rows) {
      mirror.push_back({row[0].value_or("NULL"), row[1].value_or("NULL")});
    }
    std::sort(mirror.begin(), mirror.end());
    return mirror == source();
  });
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a table that is altered during its copy is copied again, and the others go on") {
  Setup setup("max_rate: 16KiB");
  setup.fill("first", 200);
  setup.fill("second", 20);
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  setup.wait_for_chunk(daemon);
  setup.server.execute("ALTER TABLE dbo.first ADD note varchar(20) NULL");
  setup.server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'first', @role_name = "
      "NULL, @capture_instance = N'dbo_first_2'");
  setup.server.execute("UPDATE dbo.first SET note = 'noted' WHERE id % 2 = 0");
  setup.wait_for(daemon, "first", 200);
  daemon.wait_until("it has the new column", 60s, [&] {
    return setup.mirrored("SELECT SUM(note = 'noted') FROM first") == "100";
  });
  setup.wait_for(daemon, "second", 20);
  CHECK(count(daemon.log(), "copy begins again") > 0);
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a table that is dropped during its copy stops the daemon, which goes on without it") {
  Setup setup("max_rate: 16KiB");
  setup.fill("first", 200);
  setup.fill("second", 20);
  Daemon daemon(setup.folder, setup.config);
  daemon.start();
  setup.wait_for_chunk(daemon);
  setup.server.execute("DROP TABLE dbo.first");
  CHECK(daemon.wait_exit().code == 76);
  CHECK(count(daemon.log(), "add \"!dbo.first\" to `tables`") > 0);
  setup.config.tables = {"dbo.*", "!dbo.first"};
  Daemon again(setup.folder, setup.config, "again");
  again.start();
  setup.wait_for(again, "second", 20);
  again.wait_ready(60s);
  CHECK(!setup.has("first"));
  setup.server.execute("INSERT INTO dbo.second VALUES (100, 'followed')");
  setup.wait_for(again, "second", 21);
  CHECK(again.terminate().ok());
}
