// The wrapper as the source and the sink use it, against a server that understands SQL and CDC.

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "db/odbc/connection.hpp"
#include "db/odbc/statement.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::odbc {
namespace {

using test::SqlServerDouble;
using test::sqlserver::Drop;
using test::sqlserver::ErrorPlace;
using test::sqlserver::Fault;
using test::sqlserver::SqlError;

ConnectOptions options_for(const SqlServerDouble& server) {
  ConnectOptions options;
  options.connection_string = server.connection_string(HEADGATE_TDSODBC);
  options.role = "source";
  options.settings = sql_server_settings(std::chrono::milliseconds(200));
  return options;
}

OdbcError thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const OdbcError& error) {
    return error;
  }
  FAIL("nothing was thrown");
  throw std::logic_error("not reached");
}

// All rows of a query, values joined by bars.
std::vector<std::string> rows_of(Statement& statement) {
  std::vector<std::string> rows;
  while (statement.next()) {
    std::string row;
    for (std::size_t i = 0; i < statement.columns().size(); ++i) {
      const FetchAs as = default_fetch(statement.columns()[i]);
      row += row.empty() ? "" : "|";
      row += statement.is_null(i)      ? "NULL"
             : as == FetchAs::kInteger ? std::to_string(statement.integer(i))
             : as == FetchAs::kFloat   ? std::to_string(statement.real(i))
                                       : statement.text(i);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::string> query(Connection& connection, const std::string& sql) {
  Statement statement(connection, "read");
  statement.execute(sql);
  return rows_of(statement);
}

TEST_CASE("values go to a server as parameters and come back the same") {
  const SqlServerDouble server;
  Connection connection(options_for(server));
  connection.execute(
      "CREATE TABLE dbo.t (id bigint NOT NULL PRIMARY KEY, name nvarchar(40), body nvarchar(max), "
      "lsn binary(10), bytes varbinary(max), ratio float)",
      "create the table");
  const std::string astral = "caf\xC3\xA9 \xF0\x9F\x98\x80";
  std::string body;
  for (int i = 0; i < 3000; ++i) {
    body += astral;
  }
  const std::string bytes(20000, '\xFE');
  Statement insert(connection, "write a row");
  insert.prepare("INSERT INTO dbo.t (id, name, body, lsn, bytes, ratio) VALUES (?, ?, ?, ?, ?, ?)");
  for (int id = 1; id <= 3; ++id) {
    insert.bind_integer(1, id);
    insert.bind_text(2, id == 2 ? "" : astral);
    insert.bind_text(3, id == 3 ? "short" : body);
    insert.bind_binary(4, std::string("\0\0\0\x27\0\0\7\x58\0\3", 10));
    insert.bind_varbinary(5, bytes);
    insert.bind_real(6, 0.1);
    if (id == 2) {
      insert.bind_null(3, ParameterType::kNvarchar);
      insert.bind_null(5, ParameterType::kVarbinary);
    }
    insert.execute();
  }

  Statement select(connection, "read");
  select.execute("SELECT id, name, lsn, ratio, body, bytes FROM dbo.t ORDER BY id");
  for (int id = 1; id <= 3; ++id) {
    CAPTURE(id);
    REQUIRE(select.next());
    CHECK(select.integer(0) == id);
    CHECK(select.text(1) == (id == 2 ? "" : astral));
    CHECK(select.bytes(2) == std::string("\0\0\0\x27\0\0\7\x58\0\3", 10));
    CHECK(select.real(3) == 0.1);
    CHECK(select.is_null(4) == (id == 2));
    CHECK(select.is_null(5) == (id == 2));
    if (id != 2) {
      CHECK((select.bytes(4) == (id == 3 ? "short" : body)));
      CHECK((select.bytes(5) == bytes));
    }
  }
  CHECK_FALSE(select.next());
}

TEST_CASE("what the server refuses is classed, and its text shows no value") {
  SqlServerDouble server;
  server.execute(
      "CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, name nvarchar(3) NOT NULL); "
      "INSERT INTO dbo.t VALUES (4711, N'a')");
  Connection connection(options_for(server));
  const auto refused = [&](const std::string& sql) {
    return thrown_by([&] { connection.execute(sql, "write"); });
  };
  const OdbcError duplicate = refused("INSERT INTO dbo.t VALUES (4711, N'b')");
  CHECK(duplicate.kind() == ErrorKind::kRow);
  CHECK(duplicate.has(2627));
  CHECK(duplicate.describe().find("4711") == std::string::npos);
  CHECK(refused("INSERT INTO dbo.t VALUES (1, NULL)").kind() == ErrorKind::kRow);
  CHECK(refused("INSERT INTO dbo.t VALUES (1, N'too long')").kind() == ErrorKind::kRow);
  CHECK(refused("SELECT * FROM dbo.nothing").has(208));
  CHECK(refused("SELECT * FROM dbo.nothing").kind() == ErrorKind::kOperator);
  CHECK(refused("SELECT nothing FROM dbo.t").has(207));
  CHECK(query(connection, "SELECT id, name FROM dbo.t") == std::vector<std::string>{"4711|a"});
}

TEST_CASE("a lock that is held too long is transient, by the session's own limit") {
  SqlServerDouble server;
  server.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v int)");
  server.execute("INSERT INTO dbo.t VALUES (1, 1)");
  Connection holder(options_for(server));
  Connection waiting(options_for(server));
  holder.execute("BEGIN TRANSACTION; UPDATE dbo.t SET v = 2", "write");
  const OdbcError error = thrown_by([&] { waiting.execute("UPDATE dbo.t SET v = 3", "write"); });
  CHECK(error.has(1222));
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_FALSE(error.connection_lost());
  holder.execute("ROLLBACK", "roll back");
  waiting.execute("UPDATE dbo.t SET v = 3", "write");
  CHECK(query(holder, "SELECT v FROM dbo.t") == std::vector<std::string>{"3"});
}

TEST_CASE("transactions end as they are told to, with autocommit off and in SQL") {
  SqlServerDouble server;
  server.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)");
  {
    Connection connection(options_for(server));
    connection.set_autocommit(false);
    connection.execute("INSERT INTO dbo.t VALUES (1)", "write");
    connection.commit();
    connection.execute("INSERT INTO dbo.t VALUES (2)", "write");
    connection.rollback();
    connection.execute("INSERT INTO dbo.t VALUES (3)", "write");
    connection.commit();
    connection.execute("INSERT INTO dbo.t VALUES (4)", "write");
    // and goes with its transaction open
  }
  Connection connection(options_for(server));
  connection.execute("BEGIN TRANSACTION; INSERT INTO dbo.t VALUES (5)", "write");
  connection.execute_commit("COMMIT TRANSACTION", "commit");
  CHECK(query(connection, "SELECT id FROM dbo.t ORDER BY id") ==
        std::vector<std::string>{"1", "3", "5"});
}

// The server committed and nobody was told; or it never saw the COMMIT. The same error has to stand
// for both.
TEST_CASE("a commit without an answer is in doubt whether it was done or not") {
  const Drop drop = GENERATE(Drop::kBeforeRunning, Drop::kBeforeReply);
  SqlServerDouble server;
  server.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)");
  Connection connection(options_for(server));
  connection.execute("BEGIN TRANSACTION; INSERT INTO dbo.t VALUES (1)", "write");
  Fault fault;
  fault.pattern = "^COMMIT";
  fault.drop = drop;
  server.faults().add(fault);
  const OdbcError error = thrown_by([&] { connection.execute_commit("COMMIT", "commit"); });
  CHECK(error.kind() == ErrorKind::kInDoubt);
  CHECK(connection.lost());
  Connection again(options_for(server));
  CHECK(query(again, "SELECT id FROM dbo.t").size() == (drop == Drop::kBeforeReply ? 1 : 0));
}

TEST_CASE("change tables are read by LSN, and no fault in between looks like their end") {
  SqlServerDouble server;
  server.execute(
      "CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, note nvarchar(max), paid "
      "decimal(10,2))");
  server.execute("EXEC sys.sp_cdc_enable_db");
  server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'orders', "
      "@role_name = NULL");
  const std::string position = server.log_end();
  for (int i = 0; i < 100; ++i) {
    server.execute("INSERT INTO dbo.orders VALUES (" + std::to_string(i) + ", N'n', " +
                   std::to_string(i) + ".25)");
  }
  server.capture();

  const bool with_text = GENERATE(false, true);
  const std::string sql = std::string("SELECT __$start_lsn, id, paid") +
                          (with_text ? ", note" : "") +
                          " FROM cdc.dbo_orders_CT WHERE __$start_lsn > ? AND __$start_lsn <= ? "
                          "ORDER BY __$start_lsn";
  const auto read = [&] {
    Connection connection(options_for(server));
    Statement statement(connection, "read change table dbo_orders_CT");
    statement.bind_binary(1, position);
    statement.bind_binary(2, server.max_lsn());
    statement.execute(sql);
    return rows_of(statement);
  };
  const auto whole = read();
  REQUIRE(whole.size() == 100);
  CHECK(whole[7].substr(11, 6) == "7|7.25");

  for (std::size_t rows = 0; rows < 100; rows += 9) {
    CAPTURE(rows);
    for (const Drop drop : {Drop::kInRows, Drop::kInsideRow}) {
      Fault fault;
      fault.pattern = "dbo_orders_CT";
      fault.drop = drop;
      fault.rows = rows;
      server.faults().add(fault);
      const OdbcError error = thrown_by([&] { read(); });
      CHECK(error.kind() == ErrorKind::kTransient);
      CHECK(error.connection_lost());
    }
    for (const ErrorPlace place : {ErrorPlace::kAfterRows, ErrorPlace::kAfterResult}) {
      Fault fault;
      fault.pattern = "dbo_orders_CT";
      fault.error = SqlError(1205, "deadlock victim");
      fault.error_place = place;
      fault.rows = rows;
      server.faults().add(fault);
      const OdbcError error = thrown_by([&] { read(); });
      CHECK(error.has(1205));
      CHECK(error.kind() == ErrorKind::kTransient);
    }
  }
  CHECK(read() == whole);
}

TEST_CASE("a statement that hangs in the server is given up by time and by hand") {
  SqlServerDouble server;
  Connection connection(options_for(server));
  Fault fault;
  fault.pattern = "hangs";
  fault.held = true;
  fault.times = test::sqlserver::kAlways;
  server.faults().add(fault);
  Statement statement(connection, "wait");
  statement.set_timeout(std::chrono::seconds(1));
  CHECK(thrown_by([&] { statement.execute("SELECT 1 AS hangs"); }).timed_out());
  CHECK(query(connection, "SELECT 1") == std::vector<std::string>{"1"});

  statement.set_timeout({});
  const std::size_t before = server.count_statements("hangs");
  std::thread other([&] {
    while (server.count_statements("hangs") == before) {
      std::this_thread::yield();
    }
    statement.cancel();
  });
  const OdbcError error = thrown_by([&] { statement.execute("SELECT 2 AS hangs"); });
  other.join();
  CHECK(error.cancelled());
  CHECK_FALSE(connection.lost());
  CHECK(query(connection, "SELECT 1") == std::vector<std::string>{"1"});
}

}  // namespace
}  // namespace headgate::odbc
