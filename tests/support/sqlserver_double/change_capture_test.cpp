// The double as a reader of change tables meets it.

#include <string>

#include <catch2/catch.hpp>

#include "support/sqlserver_double/log_lsn.hpp"
#include "support/sqlserver_double/odbc_client.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {
namespace {

std::string dsn(const SqlServerDouble& server) {
  return server.connection_string(HEADGATE_TDSODBC);
}

std::string enable(const std::string& table, const std::string& more = {}) {
  return "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'" + table +
         "', @role_name = NULL" + more + ";";
}

int error_of(OdbcClient& client, const std::string& sql) {
  try {
    client.run(sql);
    return 0;
  } catch (const OdbcFailure& failure) {
    return failure.records.empty() ? -1 : failure.records[0].native;
  }
}

constexpr const char* kRows =
    "SELECT __$operation, __$update_mask, id, v, __$command_id FROM cdc.dbo_t_CT "
    "ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation";

// A captured table t(id, v, big) and a connection.
struct Captured {
  explicit Captured(SqlServerOptions options = {})
      : server(std::move(options)), client(dsn(server)) {
    server.execute(
        "EXEC sys.sp_cdc_enable_db; CREATE TABLE t (id int PRIMARY KEY, v int, big "
        "nvarchar(max));" +
        enable("t"));
    server.capture();
  }
  SqlServerDouble server;
  OdbcClient client;
};

TEST_CASE("changes appear when they are captured, not when they are committed") {
  Captured set;
  set.client.run("INSERT INTO t (id, v) VALUES (1, 10), (2, 20)");
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.dbo_t_CT") == "0");
  const std::string before = set.server.max_lsn();
  CHECK(set.server.uncaptured() == 1);
  CHECK(set.server.capture() == 1);
  CHECK(set.server.max_lsn() > before);
  CHECK(set.server.max_lsn() == set.server.log_end());
  CHECK(set.client.table(kRows) == "2,07,1,10,1;2,07,2,20,2");

  set.client.run(
      "BEGIN TRAN; UPDATE t SET v = 11 WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT");
  set.client.run("BEGIN TRAN; INSERT INTO t VALUES (3, 3, NULL); ROLLBACK");
  set.server.capture();
  CHECK(set.client.table(kRows) == "2,07,1,10,1;2,07,2,20,2;3,02,1,10,1;4,02,1,11,1;1,07,2,20,2");
  CHECK(set.client.table(
            "SELECT COUNT(DISTINCT __$start_lsn), COUNT(DISTINCT __$seqval) FROM cdc.dbo_t_CT") ==
        "2,4");
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.lsn_time_mapping WHERE tran_id <> 0x00") == "2");
}

TEST_CASE("transactions are ordered by their commit, and their rows over tables by command") {
  Captured set;
  set.server.execute("CREATE TABLE u (id int PRIMARY KEY);" + enable("u"));
  set.server.execute("ALTER DATABASE shop SET READ_COMMITTED_SNAPSHOT ON");
  OdbcClient other(dsn(set.server));
  set.client.run(
      "BEGIN TRAN; INSERT INTO t (id) VALUES (1); INSERT INTO u VALUES (1); INSERT INTO t (id) "
      "VALUES (2)");
  other.run("INSERT INTO t (id) VALUES (9)");
  set.client.run("COMMIT");
  set.server.capture();
  const char* const merged =
      "SELECT __$command_id, 't', id, __$start_lsn AS l FROM cdc.dbo_t_CT UNION ALL "
      "SELECT __$command_id, 'u', id, __$start_lsn FROM cdc.dbo_u_CT ORDER BY l, 1";
  const auto rows = set.client.run(merged).back().rows;
  std::string text;
  for (const auto& row : rows) {
    text += *row[0] + *row[1] + *row[2] + " ";
  }
  CHECK(text == "1t9 1t1 2u1 3t2 ");
  CHECK(rows[1][3] == rows[3][3]);
  CHECK(rows[0][3] < rows[1][3]);
}

TEST_CASE("the mask's last byte holds the lowest ordinals") {
  SqlServerDouble server;
  server.execute(
      "EXEC sys.sp_cdc_enable_db; CREATE TABLE w (a int PRIMARY KEY, b int, c int, d int, e int, f "
      "int, g int, h int, i int);" +
      enable("w") + "INSERT INTO w VALUES (1,1,1,1,1,1,1,1,1); UPDATE w SET d = 2, i = 2");
  server.capture();
  OdbcClient client(dsn(server));
  CHECK(client.table("SELECT __$update_mask, sys.fn_cdc_is_bit_set(9, __$update_mask), "
                     "sys.fn_cdc_is_bit_set(1, "
                     "__$update_mask), sys.fn_cdc_get_column_ordinal('dbo_w', 'd') FROM "
                     "cdc.dbo_w_CT WHERE __$operation <> 3") == "01ff,1,1,4;0108,1,0,4");
}

TEST_CASE("a transaction that began before its table was enabled is not captured in part") {
  SqlServerDouble server;
  server.execute("EXEC sys.sp_cdc_enable_db; CREATE TABLE t (id int PRIMARY KEY)");
  OdbcClient writer(dsn(server));
  OdbcClient owner(dsn(server));
  writer.run("BEGIN TRAN; INSERT INTO t VALUES (1)");
  CHECK(error_of(owner, "SET LOCK_TIMEOUT 10; " + enable("t")) == 1222);
  writer.run("INSERT INTO t VALUES (2); COMMIT");
  owner.run(enable("t"));
  writer.run("INSERT INTO t VALUES (3)");
  server.capture();
  CHECK(owner.table("SELECT id FROM cdc.dbo_t_CT") == "3");
}

TEST_CASE("an update of a key has both shapes") {
  Captured set;
  set.server.execute("INSERT INTO t (id, v) VALUES (1, 1), (2, 2)");
  SECTION("removed, then inserted") {
    set.server.execute("UPDATE t SET id = id + 1");
    set.server.capture();
    CHECK(set.client.table(kRows) ==
          "2,07,1,1,1;2,07,2,2,2;1,07,1,1,1;1,07,2,2,2;2,07,2,1,3;2,07,3,2,4");
    // An order that is not the one of the index has to be made.
    CHECK(set.client.table("SELECT __$operation, id FROM cdc.dbo_t_CT WHERE __$command_id > 0 "
                           "AND __$start_lsn > 0x00 ORDER BY __$start_lsn, __$seqval, "
                           "__$operation") == "2,1;2,2;1,1;2,2;1,2;2,3");
  }
  SECTION("a pair of images") {
    set.server.change_traits(
        [](auto& traits) { traits.key_updates = sqlserver::KeyUpdateShape::kUpdatePair; });
    set.server.execute("UPDATE t SET id = 7 WHERE id = 2");
    set.server.capture();
    CHECK(set.client.table(kRows) == "2,07,1,1,1;2,07,2,2,2;3,01,2,2,1;4,01,7,2,1");
  }
}

TEST_CASE("large values that did not change are left out of images") {
  Captured set;
  set.server.execute(
      "INSERT INTO t VALUES (1, 1, N'long'); UPDATE t SET v = 2; UPDATE t SET big = N'new'; UPDATE "
      "t SET big = NULL");
  const char* const bigs =
      "SELECT __$operation, big FROM cdc.dbo_t_CT ORDER BY __$start_lsn, __$operation";
  SECTION("of the image before only") {
    set.server.capture();
    CHECK(set.client.table(bigs) == "2,long;3,NULL;4,long;3,long;4,new;3,new;4,NULL");
  }
  SECTION("of both images") {
    set.server.change_traits([](auto& traits) { traits.unchanged_large_values_kept = false; });
    set.server.capture();
    CHECK(set.client.table(bigs) == "2,long;3,NULL;4,NULL;3,long;4,new;3,new;4,NULL");
  }
}

TEST_CASE("a change table may lack the column of command ids") {
  SqlServerOptions options;
  options.traits.command_id = false;
  Captured set(options);
  set.server.execute("INSERT INTO t (id, v) VALUES (1, 1)");
  set.server.capture();
  CHECK(set.client.value("SELECT COUNT(*) FROM sys.columns WHERE object_id = "
                         "OBJECT_ID('cdc.dbo_t_CT') AND name = '__$command_id'") == "0");
  CHECK(error_of(set.client, "SELECT __$command_id FROM cdc.dbo_t_CT") == 207);
  CHECK(set.client.table("SELECT __$operation, id FROM cdc.dbo_t_CT ORDER BY __$start_lsn, "
                         "__$seqval, __$operation") == "2,1");
}

TEST_CASE("the endpoints are states, not errors") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  CHECK(error_of(client, "SELECT sys.fn_cdc_get_max_lsn()") == 208);
  CHECK(client.value("SELECT is_cdc_enabled FROM sys.databases WHERE name = DB_NAME()") == "0");
  server.execute("EXEC sys.sp_cdc_enable_db; CREATE TABLE t (id int PRIMARY KEY);" + enable("t"));
  CHECK(client.value("SELECT is_cdc_enabled FROM sys.databases WHERE database_id = DB_ID()") ==
        "1");
  CHECK(client.value("SELECT sys.fn_cdc_get_max_lsn()") == "NULL");
  CHECK(client.value("SELECT sys.fn_cdc_get_min_lsn('dbo_t')") == "NULL");
  CHECK(client.value("SELECT sys.fn_cdc_get_min_lsn('nobody')") == "00000000000000000000");
  CHECK(client.value("SELECT start_lsn FROM cdc.change_tables WHERE capture_instance = 'dbo_t'") !=
        "NULL");
  server.capture();
  CHECK(client.value("SELECT CASE WHEN sys.fn_cdc_get_min_lsn('dbo_t') = start_lsn THEN 1 ELSE 0 "
                     "END FROM cdc.change_tables") == "1");

  const std::string max = client.value("SELECT sys.fn_cdc_get_max_lsn()");
  server.write_idle_row();
  CHECK(client.value("SELECT MAX(start_lsn) FROM cdc.lsn_time_mapping") > max);
  CHECK(client.value("SELECT sys.fn_cdc_increment_lsn(0x000000270000000500FF)") ==
        "00000027000000050100");
  CHECK(client.value("SELECT sys.fn_cdc_map_lsn_to_time(0x01)") == "NULL");
}

// Who takes such a row for the end of what is captured must not be wrong.
TEST_CASE("no idle row is written while something waits to be captured") {
  Captured set;
  set.server.write_idle_row();
  const std::string max = set.server.max_lsn();
  set.server.execute("INSERT INTO t (id) VALUES (1)");
  set.server.write_idle_row();
  CHECK(set.server.max_lsn() == max);
  set.server.capture();
  const std::string captured = set.server.max_lsn();
  CHECK(captured == set.server.log_end());
  set.server.write_idle_row();
  CHECK(set.server.max_lsn() > captured);
}

TEST_CASE("the function of all changes checks its window and hides the command id") {
  Captured set;
  set.server.execute("INSERT INTO t (id, v) VALUES (1, 1); UPDATE t SET v = 2");
  set.server.capture();
  const std::string window =
      "DECLARE @a binary(10) = sys.fn_cdc_get_min_lsn('dbo_t'), @b binary(10) = "
      "sys.fn_cdc_get_max_lsn();";
  CHECK(set.client.table(
            window +
            "SELECT __$operation, id, v FROM cdc.fn_cdc_get_all_changes_dbo_t(@a, @b, N'all')") ==
        "2,1,1;4,1,2");
  CHECK(
      set.client.table(
          window +
          "SELECT __$operation FROM cdc.fn_cdc_get_all_changes_dbo_t(@a, @b, N'all update old')") ==
      "2;3;4");
  CHECK(
      error_of(
          set.client,
          window + "SELECT __$command_id FROM cdc.fn_cdc_get_all_changes_dbo_t(@a, @b, N'all')") ==
      207);
  for (const char* arguments : {"0x00, @b, N'all'", "@a, 0xFFFFFFFFFFFFFFFFFFFF, N'all'",
                                "@b, @a, N'all'", "NULL, @b, N'all'", "@a, @b, N'everything'"}) {
    CHECK(error_of(set.client, window + "SELECT * FROM cdc.fn_cdc_get_all_changes_dbo_t(" +
                                   arguments + ")") == 313);
  }
  // The change table itself complains of nothing.
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.dbo_t_CT WHERE __$start_lsn BETWEEN 0x00 AND "
                         "0xFFFFFFFFFFFFFFFFFFFF") == "3");
  CHECK(error_of(set.client,
                 "SELECT * FROM cdc.fn_cdc_get_all_changes_nobody(0x00, 0x00, N'all')") == 208);
}

TEST_CASE("clean-up raises the mark first and deletes then") {
  Captured set;
  for (int i = 1; i <= 4; ++i) {
    set.server.execute("INSERT INTO t (id) VALUES (" + std::to_string(i) + ")");
  }
  set.server.capture();
  const std::string third = sqlserver::hex_text(set.server.max_lsn());
  set.server.execute("INSERT INTO t (id) VALUES (5)");
  set.server.capture();
  const std::string mark = set.client.value(
      "SELECT start_lsn FROM cdc.lsn_time_mapping ORDER BY start_lsn OFFSET 3 ROWS FETCH NEXT 1 "
      "ROWS ONLY");
  std::string bytes;
  for (std::size_t at = 0; at < mark.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(mark.substr(at, 2), nullptr, 16)));
  }
  set.server.raise_low_water_mark(bytes);
  CHECK(set.client.value("SELECT start_lsn FROM cdc.change_tables") == mark);
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.dbo_t_CT") == "5");
  set.server.delete_below_low_water_mark();
  CHECK(set.client.table("SELECT id FROM cdc.dbo_t_CT") == "3;4;5");
  CHECK(set.client.value("SELECT MIN(start_lsn) FROM cdc.lsn_time_mapping") == mark);

  const std::string procedure =
      "EXEC sys.sp_cdc_cleanup_change_table @capture_instance = 'dbo_t', @low_water_mark = ";
  CHECK(error_of(set.client, procedure + "0x00000000000000000001") == 22957);
  CHECK(error_of(set.client, procedure + "0xFF000000000000000001") == 22964);
  set.client.run(procedure + third);
  CHECK(set.client.table("SELECT id FROM cdc.dbo_t_CT") == "4;5");
}

TEST_CASE("retention counts from the last commit, not from the clock") {
  SqlServerDouble server;
  sqlserver::Moment now;
  now.day = sqlserver::day_of({2024, 2, 29});
  server.set_clock([&now] { return now; });
  server.execute("EXEC sys.sp_cdc_enable_db; CREATE TABLE t (id int PRIMARY KEY);" + enable("t"));
  server.capture();
  for (int id = 1; id <= 3; ++id) {
    now = sqlserver::shifted(now, 3600 * sqlserver::kTicksPerSecond);
    server.execute("INSERT INTO t VALUES (" + std::to_string(id) + ")");
  }
  server.capture();
  now = sqlserver::shifted(now, 100 * sqlserver::kTicksPerDay);
  server.cleanup(std::chrono::minutes(70));
  CHECK(server.value("SELECT STRING_AGG(id, ',') FROM cdc.dbo_t_CT") == "2,3");
}

TEST_CASE("two instances of a table both record, and a third is refused") {
  Captured set;
  set.server.execute("INSERT INTO t (id) VALUES (1); ALTER TABLE t ADD extra int");
  set.server.execute(enable("t", ", @capture_instance = N't_v2'"));
  set.server.execute("INSERT INTO t (id, extra) VALUES (2, 22)");
  set.server.capture();
  CHECK(set.client.table("SELECT id FROM cdc.dbo_t_CT") == "1;2");
  CHECK(set.client.table("SELECT id, extra FROM cdc.t_v2_CT") == "2,22");
  CHECK(error_of(set.client, enable("t", ", @capture_instance = N't_v3'")) == 22962);
  // One row of history for the statement and each instance.
  CHECK(set.client.table("SELECT required_column_update, ddl_command FROM cdc.ddl_history") ==
        "0,ALTER TABLE t ADD extra int;0,ALTER TABLE t ADD extra int");
  CHECK(set.client.table(
            "SELECT capture_instance, column_name, column_ordinal FROM cdc.captured_columns c JOIN "
            "cdc.change_tables t ON t.object_id = c.object_id WHERE column_name IN ('id', "
            "'extra')") == "dbo_t,id,1;t_v2,id,1;t_v2,extra,4");
  set.client.run("EXEC sys.sp_cdc_disable_table N'dbo', N't', N'dbo_t'");
  CHECK(error_of(set.client, "SELECT * FROM cdc.dbo_t_CT") == 208);
  CHECK(set.client.value("SELECT is_tracked_by_cdc FROM sys.tables WHERE name = 't'") == "1");
  set.client.run("DROP TABLE t");
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.change_tables") == "0");
}

TEST_CASE(
    "a changed type reaches the change table when capture does; a dropped column stays as NULL") {
  Captured set;
  set.server.execute("INSERT INTO t (id, v) VALUES (1, 5)");
  set.server.capture();
  set.server.execute(
      "ALTER TABLE t ALTER COLUMN v bigint; INSERT INTO t (id, v) VALUES (2, 5000000000)");
  const char* const type =
      "SELECT t.name FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.user_type_id "
      "WHERE c.object_id = OBJECT_ID('cdc.dbo_t_CT') AND c.name = 'v'";
  CHECK(set.client.value(type) == "int");
  set.server.capture();
  CHECK(set.client.value(type) == "bigint");
  CHECK(set.client.table("SELECT id, v FROM cdc.dbo_t_CT") == "1,5;2,5000000000");
  CHECK(set.client.value("SELECT required_column_update FROM cdc.ddl_history") == "1");
  set.server.execute("ALTER TABLE t DROP COLUMN v; INSERT INTO t (id) VALUES (3)");
  set.server.capture();
  CHECK(set.client.table("SELECT id, v FROM cdc.dbo_t_CT WHERE id = 3") == "3,NULL");
  CHECK(error_of(set.client, "EXEC sp_rename 'dbo.t.big', 'small', 'COLUMN'") == 4928);
  CHECK(error_of(set.client, "TRUNCATE TABLE t") == 4711);
}

TEST_CASE("what capture has not committed is seen with NOLOCK and waited for with locks") {
  Captured set;
  set.server.execute("INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2)");
  set.server.capture_uncommitted(1);
  CHECK(set.client.table("SELECT id FROM cdc.dbo_t_CT WITH (NOLOCK)") == "1");
  CHECK(set.client.value("SELECT sys.fn_cdc_get_max_lsn()") != "NULL");
  set.client.run("SET LOCK_TIMEOUT 10");
  CHECK(error_of(set.client, "SELECT id FROM cdc.dbo_t_CT") == 1222);
  CHECK(set.client.value(
            "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT COUNT(*) FROM cdc.dbo_t_CT") == "0");
  set.server.commit_capture();
  CHECK(set.client.table(
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT id FROM cdc.dbo_t_CT") == "1");
}

TEST_CASE("automatic capture follows its lag, and stops with the Agent") {
  Captured set;
  set.server.set_capture(CaptureMode::kAutomatic, std::chrono::milliseconds(1));
  set.server.execute("INSERT INTO t (id) VALUES (1)");
  const auto captured = [&set](const std::string& count) {
    return [&set, count] { return set.server.value("SELECT COUNT(*) FROM cdc.dbo_t_CT") == count; };
  };
  wait_until("the first row", std::chrono::seconds(10), captured("1"));
  CHECK(set.client.value(
            "SELECT status FROM sys.dm_server_services WHERE servicename LIKE '%Agent%'") == "4");
  set.server.set_agent_running(false);
  set.server.execute("INSERT INTO t (id) VALUES (2)");
  CHECK(set.client.value(
            "SELECT status FROM sys.dm_server_services WHERE servicename LIKE '%Agent%'") == "1");
  CHECK(set.server.uncaptured() == 1);
  set.server.set_agent_running(true);
  wait_until("the second row", std::chrono::seconds(10), captured("2"));
  // Idle rows go on.
  set.server.set_idle_rows(std::chrono::milliseconds(1));
  const std::string max = set.server.max_lsn();
  wait_until("an idle row", std::chrono::seconds(10), [&] { return set.server.max_lsn() > max; });
  CHECK(set.client.value("SELECT COUNT(*) FROM cdc.lsn_time_mapping WHERE tran_id = 0x00") != "0");
}

TEST_CASE("a restored database goes back, and says so by its fork only") {
  Captured set;
  set.server.execute("INSERT INTO t (id) VALUES (1)");
  set.server.capture();
  const auto backup = set.server.backup();
  const std::string fork = set.client.value(
      "SELECT recovery_fork_guid FROM sys.database_recovery_status WHERE database_id = DB_ID()");
  set.server.execute("INSERT INTO t (id) VALUES (2)");
  set.server.capture();
  const std::string lost = set.server.max_lsn();
  set.server.restore(backup);
  CHECK_THROWS_AS(set.client.run("SELECT 1"), OdbcFailure);
  OdbcClient again(dsn(set.server));
  CHECK(set.server.max_lsn() < lost);
  CHECK(again.table("SELECT id FROM t") == "1");
  CHECK(again.value("SELECT recovery_fork_guid FROM sys.database_recovery_status WHERE database_id "
                    "= DB_ID()") != fork);
  set.server.execute("INSERT INTO t (id) VALUES (3)");
  set.server.capture();
  CHECK(set.server.max_lsn() == lost);
  CHECK(again.table("SELECT id FROM cdc.dbo_t_CT") == "1;3");
}

TEST_CASE("rights gate what a reader sees") {
  SqlServerOptions options;
  Captured set(options);
  set.server.execute(
      "CREATE LOGIN reader WITH PASSWORD = 'Read_1'; CREATE USER reader FOR LOGIN reader");
  set.server.execute("INSERT INTO t (id) VALUES (1)");
  set.server.capture();
  std::string text = dsn(set.server);
  text.replace(text.find("UID=sa"), 6, "UID=reader");
  text.replace(text.find("PWD=Double_1"), 12, "PWD=Read_1");
  OdbcClient reader(text);
  CHECK(error_of(reader, "SELECT * FROM cdc.dbo_t_CT") == 229);
  CHECK(error_of(reader, "SELECT * FROM cdc.change_tables") == 229);
  CHECK(error_of(reader, "SELECT * FROM sys.dm_server_services") == 300);
  CHECK(error_of(reader, "EXEC sys.sp_cdc_disable_db") == 22904);
  CHECK(reader.value("SELECT sys.fn_cdc_get_min_lsn('dbo_t')") == "00000000000000000000");
  CHECK(reader.value("SELECT HAS_PERMS_BY_NAME('cdc', 'SCHEMA', 'SELECT')") == "0");
  set.server.execute(
      "GRANT SELECT ON SCHEMA::cdc TO reader; GRANT SELECT ON dbo.t TO reader; GRANT VIEW SERVER "
      "STATE TO reader");
  CHECK(reader.table("SELECT id FROM cdc.dbo_t_CT") == "1");
  CHECK(reader.value("SELECT sys.fn_cdc_get_min_lsn('dbo_t')") != "00000000000000000000");
  CHECK(reader.value("SELECT HAS_PERMS_BY_NAME('cdc', 'SCHEMA', 'SELECT')") == "1");
  CHECK(error_of(reader, "SELECT * FROM sys.dm_server_services") == 0);
}

TEST_CASE("the exact pair of an LSN and a snapshot can be had with locks and a savepoint") {
  Captured set;
  set.server.execute("INSERT INTO t (id) VALUES (1)");
  OdbcClient locks(dsn(set.server));
  OdbcClient snapshot(dsn(set.server));
  OdbcClient writer(dsn(set.server));
  locks.run("BEGIN TRAN; SELECT TOP (0) * FROM t WITH (TABLOCK, HOLDLOCK)");
  writer.run("SET LOCK_TIMEOUT 10");
  CHECK(error_of(writer, "INSERT INTO t (id) VALUES (2)") == 1222);
  snapshot.run(
      "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT TOP (1) id FROM t; SAVE "
      "TRANSACTION x");
  locks.run("ROLLBACK");
  writer.run("INSERT INTO t (id) VALUES (2)");
  const std::string lsn = snapshot.value(
      "SELECT database_transaction_most_recent_savepoint_lsn FROM "
      "sys.dm_tran_database_transactions d JOIN "
      "sys.dm_tran_current_transaction c ON c.transaction_id = d.transaction_id WHERE "
      "d.database_id = DB_ID()");
  CHECK(snapshot.table("SELECT id FROM t") == "1");
  set.server.capture();
  const auto change =
      set.client.run("SELECT __$start_lsn, id FROM cdc.dbo_t_CT ORDER BY __$start_lsn").back().rows;
  REQUIRE(change.size() == 2);
  const auto number = [](const std::string& hex) {
    std::string bytes;
    for (std::size_t at = 0; at < hex.size(); at += 2) {
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    }
    return sqlserver::decimal_text(sqlserver::decimal_lsn(bytes), 0);
  };
  CHECK(number(*change[0][0]) < lsn);
  CHECK(lsn < number(*change[1][0]));
}

TEST_CASE("times of transactions are the server's wall clock without its zone") {
  SqlServerOptions options;
  options.traits.time_zone = *sqlserver::time_zone_named("W. Europe Standard Time");
  SqlServerDouble server(options);
  sqlserver::Moment now;
  now.day = sqlserver::day_of({2024, 10, 26});
  now.ticks = 23 * 3600 * sqlserver::kTicksPerSecond + 1;  // summer time ends in two hours
  server.set_clock([&now] { return now; });
  server.execute("EXEC sys.sp_cdc_enable_db; CREATE TABLE t (id int PRIMARY KEY);" + enable("t"));
  server.execute("INSERT INTO t VALUES (1)");
  server.capture();
  OdbcClient client(dsn(server));
  CHECK(client.value("SELECT tran_end_time FROM cdc.lsn_time_mapping WHERE tran_id <> 0x00") ==
        "2024-10-27 01:00:00.000");
  CHECK(client.value("SELECT SYSDATETIMEOFFSET()") == "2024-10-27 01:00:00.0000001 +02:00");
  CHECK(client.value("SELECT CURRENT_TIMEZONE_ID()") == "W. Europe Standard Time");
  CHECK(client.value("SELECT tran_end_time AT TIME ZONE 'W. Europe Standard Time' AT TIME ZONE "
                     "'UTC' FROM cdc.lsn_time_mapping "
                     "WHERE tran_id <> 0x00") == "2024-10-26 23:00:00.000 +00:00");
  server.change_traits([](auto& traits) { traits.major_version = 15; });
  CHECK(error_of(client, "SELECT CURRENT_TIMEZONE_ID()") == 195);
}

TEST_CASE("the catalog describes tables, keys and jobs") {
  Captured set;
  set.server.execute("CREATE SCHEMA sales");
  set.server.execute(
      "CREATE TABLE sales.o (a int NOT NULL, b decimal(12,3), c nvarchar(20) NOT NULL, CONSTRAINT "
      "pk_o PRIMARY KEY (c, a))");
  CHECK(
      set.client.table(
          "SELECT s.name, t.name FROM sys.tables t JOIN sys.schemas s ON s.schema_id = t.schema_id "
          "WHERE t.is_ms_shipped = 0 ORDER BY 1, 2") == "dbo,t;sales,o");
  CHECK(set.client.table("SELECT c.name, y.name, c.max_length, c.precision, c.scale, c.is_nullable "
                         "FROM sys.columns c JOIN "
                         "sys.types y ON y.user_type_id = c.user_type_id WHERE c.object_id = "
                         "OBJECT_ID(N'[sales].[o]') ORDER BY c.column_id") ==
        "a,int,4,10,0,0;b,decimal,9,12,3,1;c,nvarchar,40,0,0,0");
  CHECK(set.client.table("SELECT i.name, c.name, ic.key_ordinal FROM sys.indexes i JOIN "
                         "sys.index_columns ic ON ic.object_id = "
                         "i.object_id AND ic.index_id = i.index_id JOIN sys.columns c ON "
                         "c.object_id = ic.object_id AND "
                         "c.column_id = ic.column_id WHERE i.is_primary_key = 1 AND i.object_id = "
                         "OBJECT_ID('sales.o') ORDER BY 3") == "pk_o,c,1;pk_o,a,2");
  CHECK(set.client.table("SELECT job_type, retention FROM msdb.dbo.cdc_jobs ORDER BY 1") ==
        "capture,0;cleanup,4320");
  CHECK(set.client.value("SELECT SERVERPROPERTY('EngineEdition')") == "3");
  CHECK(set.client.value("SELECT CONVERT(nvarchar(60), SERVERPROPERTY('ProductVersion'))") ==
        "16.0.4135.4");
  CHECK_THAT(set.client.value("SELECT @@VERSION"), Catch::Contains("double"));
  CHECK(set.client.table("SELECT index_name, supports_net_changes FROM cdc.change_tables") != "");
  CHECK(set.client.table("SELECT column_name, index_ordinal FROM cdc.index_columns") == "id,1");
  CHECK(set.client.value(
            "SELECT snapshot_isolation_state FROM sys.databases WHERE name = 'shop'") == "1");
  CHECK(set.client.value(
            "SELECT COUNT(*) FROM sys.dm_cdc_log_scan_sessions WHERE session_id = 0") == "1");
}

}  // namespace
}  // namespace headgate::test
