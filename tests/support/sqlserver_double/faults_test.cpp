// The double's misbehaviour, as a driver meets it.

#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "support/sqlserver_double/odbc_client.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {
namespace {

using sqlserver::Drop;
using sqlserver::ErrorPlace;
using sqlserver::Fault;
using sqlserver::SqlError;

std::string dsn(const SqlServerDouble& server) {
  return server.connection_string(HEADGATE_TDSODBC);
}

// A server with a table of a hundred rows.
struct Rows {
  Rows() : client(dsn(server)) {
    server.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v nvarchar(50)); INSERT INTO t SELECT value, N'row ' "
        "+ "
        "CONVERT(nvarchar(10), value) FROM GENERATE_SERIES(1, 100)");
  }

  std::vector<OdbcDiagnostic> failure(const std::string& sql) {
    try {
      client.run(sql);
      return {};
    } catch (const OdbcFailure& failed) {
      return failed.records;
    }
  }

  SqlServerDouble server;
  OdbcClient client;
};

bool has(const std::vector<OdbcDiagnostic>& records, int native) {
  for (const auto& record : records) {
    if (record.native == native) {
      return true;
    }
  }
  return false;
}

Fault on(const std::string& pattern) {
  Fault fault;
  fault.pattern = pattern;
  return fault;
}

TEST_CASE("a connection is dropped at every place of an answer") {
  Rows set;
  const Drop drop =
      GENERATE(Drop::kBeforeRunning, Drop::kBeforeReply, Drop::kInRows, Drop::kInsideRow);
  Fault fault = on("FROM t");
  fault.drop = drop;
  fault.rows = 30;
  const auto id = set.server.faults().add(fault);
  const auto records = set.failure("SELECT * FROM t");
  REQUIRE_FALSE(records.empty());
  CHECK(set.server.faults().struck(id) == 1);
  CHECK_FALSE(set.failure("SELECT 1").empty());
  OdbcClient again(dsn(set.server));
  CHECK(again.value("SELECT COUNT(*) FROM t") == "100");
}

TEST_CASE("a reply that is whole may be the last") {
  Rows set;
  Fault fault = on("COUNT");
  fault.drop = Drop::kAfterReply;
  set.server.faults().add(fault);
  CHECK(set.client.value("SELECT COUNT(*) FROM t") == "100");
  CHECK_FALSE(set.failure("SELECT 1").empty());
}

TEST_CASE("a commit is done and its reply is lost, or it never ran") {
  Rows set;
  Fault fault = on("^COMMIT");
  const bool ran = GENERATE(true, false);
  fault.drop = ran ? Drop::kBeforeReply : Drop::kBeforeRunning;
  set.server.faults().add(fault);
  set.client.run("BEGIN TRAN; INSERT INTO t VALUES (101, NULL)");
  CHECK_FALSE(set.failure("COMMIT TRANSACTION").empty());
  OdbcClient again(dsn(set.server));
  CHECK(again.value("SELECT COUNT(*) FROM t") == (ran ? "101" : "100"));
}

TEST_CASE("a commit by the driver's own request can lose its reply too") {
  Rows set;
  OdbcClient manual(dsn(set.server), false);
  Fault fault = on("^commit$");
  fault.drop = Drop::kBeforeReply;
  set.server.faults().add(fault);
  manual.run("INSERT INTO t VALUES (101, NULL)");
  CHECK_THROWS_AS(manual.end_transaction(true), OdbcFailure);
  CHECK(set.client.value("SELECT COUNT(*) FROM t") == "101");
}

TEST_CASE("errors come in place of a result, within it, and behind it") {
  Rows set;
  Fault fault = on("FROM t");
  fault.error = SqlError(1205, "deadlock victim", 13, 45);
  fault.error_place =
      GENERATE(ErrorPlace::kInstead, ErrorPlace::kAfterRows, ErrorPlace::kAfterResult);
  fault.rows = 40;
  set.server.faults().add(fault);
  const auto records = set.failure("SELECT * FROM t");
  CHECK(has(records, 1205));
  CHECK(set.client.value("SELECT COUNT(*) FROM t") == "100");
}

TEST_CASE("any number, severity and state can be raised") {
  Rows set;
  struct Case {
    int number;
    int severity;
  };
  for (const Case& given : {Case{313, 16}, Case{208, 16}, Case{40613, 17}, Case{701, 17},
                            Case{50000, 20}, Case{1222, 16}}) {
    Fault fault = on("SELECT 1");
    fault.error = SqlError(given.number, "synthetic", given.severity, 7);
    set.server.faults().add(fault);
    CHECK(has(set.failure("SELECT 1"), given.number));
  }
  CHECK(set.client.value("SELECT 1") == "1");
}

TEST_CASE("a statement that is late is given up by attention, and the connection goes on") {
  Rows set;
  Fault fault = on("FROM t");
  fault.held = true;
  const auto id = set.server.faults().add(fault);
  set.client.set_query_timeout(1);
  const auto records = set.failure("SELECT * FROM t");
  REQUIRE_FALSE(records.empty());
  CHECK(records[0].state == "HYT00");
  CHECK(set.client.value("SELECT 1") == "1");
  bool attention = false;
  for (const auto& statement : set.server.statements()) {
    attention = attention || statement.kind == "attention";
  }
  CHECK(attention);
  set.server.faults().remove(id);
}

TEST_CASE("attention that nobody acknowledges ends the connection") {
  Rows set;
  Fault fault = on("FROM t");
  fault.held = true;
  fault.ignores_attention = true;
  set.server.faults().add(fault);
  set.client.set_query_timeout(1);
  CHECK_FALSE(set.failure("SELECT * FROM t").empty());
  CHECK_FALSE(set.failure("SELECT 1").empty());
}

TEST_CASE("another thread cancels a statement that waits for a lock") {
  Rows set;
  OdbcClient holder(dsn(set.server));
  holder.run("BEGIN TRAN; UPDATE t SET v = NULL WHERE id = 1");
  bool failed = false;
  std::thread waiter([&] {
    try {
      set.client.run("UPDATE t SET v = N'x' WHERE id = 1");
    } catch (const OdbcFailure&) {
      failed = true;
    }
  });
  wait_until("the statement", std::chrono::seconds(10),
             [&] { return set.server.count_statements("N'x'") == 1; });
  set.client.cancel();
  waiter.join();
  CHECK(failed);
  holder.run("COMMIT");
  CHECK(set.client.value("SELECT v FROM t WHERE id = 1") == "NULL");
}

TEST_CASE("a held statement goes on when it is released") {
  Rows set;
  Fault fault = on("COUNT");
  fault.held = true;
  const auto id = set.server.faults().add(fault);
  std::string count;
  std::thread asking([&] { count = set.client.value("SELECT COUNT(*) FROM t"); });
  wait_until("the fault", std::chrono::seconds(10),
             [&] { return set.server.faults().struck(id) == 1; });
  set.server.execute("DELETE FROM t WHERE id = 1");
  set.server.faults().release(id);
  asking.join();
  CHECK(count == "99");
}

TEST_CASE("answers can be slow and still whole") {
  Rows set;
  Fault fault = on("FROM t");
  fault.packet_delay = std::chrono::milliseconds(5);
  set.server.faults().add(fault);
  CHECK(set.client.run("SELECT * FROM t a CROSS JOIN t b").back().rows.size() == 10000);
}

TEST_CASE("results are changed on their way") {
  Rows set;
  set.server.execute("EXEC sys.sp_cdc_enable_db");
  set.server.write_idle_row();
  const std::string max = "SELECT MAX(start_lsn) AS m FROM cdc.lsn_time_mapping";
  const std::string true_max = set.client.value(max);
  Fault null = on("MAX\\(start_lsn\\)");
  null.rewrite = sqlserver::nulls_in("m");
  set.server.faults().add(null);
  CHECK(set.client.value(max) == "NULL");
  Fault zero = null;
  zero.rewrite = sqlserver::bytes_in("m", sqlserver::zero_lsn());
  set.server.faults().add(zero);
  CHECK(set.client.value(max) == "00000000000000000000");
  CHECK(set.client.value(max) == true_max);
  Fault none = on("FROM t");
  none.rewrite = sqlserver::no_rows();
  set.server.faults().add(none);
  CHECK(set.client.run("SELECT * FROM t").back().rows.empty());
  Fault torn = on("FROM t");
  torn.rewrite = sqlserver::only_rows(7);
  torn.times = sqlserver::kAlways;
  const auto id = set.server.faults().add(torn);
  CHECK(set.client.run("SELECT * FROM t").back().rows.size() == 7);
  CHECK(set.client.run("SELECT * FROM t").back().rows.size() == 7);
  set.server.faults().remove(id);
  CHECK(set.client.run("SELECT * FROM t").back().rows.size() == 100);
}

TEST_CASE("rules count, skip and name connections") {
  Rows set;
  OdbcClient other(dsn(set.server));
  Fault fault = on("SELECT 1");
  fault.connection = 2;
  fault.skip = 1;
  fault.times = 2;
  fault.error = SqlError(50001, "scripted", 16);
  const auto id = set.server.faults().add(fault);
  CHECK(set.client.value("SELECT 1") == "1");
  CHECK(other.value("SELECT 1") == "1");
  CHECK_THROWS_AS(other.run("SELECT 1"), OdbcFailure);
  CHECK_THROWS_AS(other.run("SELECT 1"), OdbcFailure);
  CHECK(other.value("SELECT 1") == "1");
  CHECK(set.server.faults().struck(id) == 2);
  CHECK(set.server.connections() == 2);
}

TEST_CASE("something may happen between two queries of a reader") {
  Rows set;
  Fault fault = on("COUNT");
  fault.before = [&set] { set.server.execute("DELETE FROM t WHERE id <= 10"); };
  fault.after = [&set] { set.server.execute("DELETE FROM t"); };
  set.server.faults().add(fault);
  CHECK(set.client.value("SELECT COUNT(*) FROM t") == "90");
  CHECK(set.client.value("SELECT COUNT(*) FROM t") == "0");
}

TEST_CASE("logins fail as told, and for wrong passwords and databases") {
  SqlServerDouble server;
  const auto numbers = [](const std::string& text) {
    try {
      OdbcClient client(text);
      return std::string("connected");
    } catch (const OdbcFailure& failure) {
      return std::string(failure.what());
    }
  };
  const std::string good = dsn(server);
  std::string bad = good;
  bad.replace(bad.find("Double_1"), 8, "wrong");
  CHECK_THAT(numbers(bad), Catch::Contains("18456"));
  bad = good;
  bad.replace(bad.find("Database=shop"), 13, "Database=none");
  CHECK_THAT(numbers(bad), Catch::Contains("4060"));
  server.faults().add_login(
      {{SqlError(40613, "Database 'x' on server 'y' is not currently available.", 17)}, 2});
  CHECK_THAT(numbers(good), Catch::Contains("40613"));
  CHECK_THAT(numbers(good), Catch::Contains("40613"));
  server.faults().add_login({{}, 1});
  CHECK_THAT(numbers(good), !Catch::Contains("connected"));
  CHECK(numbers(good) == "connected");
  // TLS is not spoken: a client that requires it is refused.
  bad = good;
  bad.replace(bad.find("Encryption=off"), 14, "Encryption=require");
  CHECK_THAT(numbers(bad), Catch::Contains("20002"));
}

TEST_CASE("a server goes down and comes back on its port, without what was not committed") {
  Rows set;
  set.client.run("BEGIN TRAN; DELETE FROM t");
  const int port = set.server.port();
  set.server.stop();
  CHECK_FALSE(set.failure("SELECT 1").empty());
  CHECK_THROWS_AS(OdbcClient(dsn(set.server)), OdbcFailure);
  set.server.start();
  CHECK(set.server.port() == port);
  OdbcClient again(dsn(set.server));
  CHECK(again.value("SELECT COUNT(*) FROM t") == "100");
  set.server.drop_connections();
  CHECK_THROWS_AS(again.run("SELECT 1"), OdbcFailure);
}

}  // namespace
}  // namespace headgate::test
