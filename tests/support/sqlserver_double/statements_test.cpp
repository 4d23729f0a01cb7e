// The double as applications meet it: T-SQL over FreeTDS's driver.

#include <chrono>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "support/sqlserver_double/odbc_client.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::test {
namespace {

std::string dsn(const SqlServerDouble& server) {
  return server.connection_string(HEADGATE_TDSODBC);
}

TEST_CASE("a driver connects, writes rows and reads them back") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL)");
  const auto inserted =
      client.run("INSERT INTO t (id, name) VALUES (1, N'eins'), (2, NULL), (3, N'日本 😀')");
  REQUIRE(inserted.size() == 1);
  CHECK(inserted[0].count == 3);

  CHECK(client.table("SELECT id, name FROM dbo.t ORDER BY id") == "1,eins;2,NULL;3,日本 😀");
  CHECK(server.value("SELECT COUNT(*) FROM t") == "3");
  CHECK(client.run("UPDATE t SET name = name + N'!' WHERE id <> 2")[0].count == 2);
  CHECK(client.run("DELETE FROM t WHERE id = 3")[0].count == 1);
  CHECK(client.table("SELECT * FROM t") == "1,eins!;2,NULL");
}

TEST_CASE("a statement that the double does not know is an error that shows its text") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  try {
    client.run("CREATE TRIGGER x ON t AFTER INSERT AS PRINT 1");
    FAIL("it was accepted");
  } catch (const OdbcFailure& failure) {
    CHECK(failure.has(102));
    CHECK_THAT(failure.what(), Catch::Contains("TRIGGER"));
  }
  CHECK_THROWS_AS(client.run("SET FROBNICATION ON"), OdbcFailure);
  CHECK_THROWS_AS(client.run("SELECT frobnicate(1)"), OdbcFailure);
  CHECK_THROWS_AS(client.run("SELECT * FROM sys.frobnications"), OdbcFailure);
  CHECK_THROWS_AS(client.run("EXEC sp_frobnicate"), OdbcFailure);
  CHECK(client.value("SELECT 1") == "1");
}

TEST_CASE("transactions are atomic, seen by others when committed, and counted") {
  SqlServerDouble server;
  server.execute(
      "ALTER DATABASE shop SET READ_COMMITTED_SNAPSHOT ON; CREATE TABLE t (id int PRIMARY KEY, v "
      "int)");
  OdbcClient writer(dsn(server));
  OdbcClient reader(dsn(server));
  writer.run("BEGIN TRAN; INSERT INTO t VALUES (1, 10); INSERT INTO t VALUES (2, 20)");
  CHECK(writer.value("SELECT @@TRANCOUNT") == "1");
  CHECK(writer.value("SELECT COUNT(*) FROM t") == "2");
  CHECK(reader.value("SELECT COUNT(*) FROM t") == "0");
  CHECK(reader.value("SELECT COUNT(*) FROM t WITH (NOLOCK)") == "2");
  writer.run("ROLLBACK");
  CHECK(writer.value("SELECT COUNT(*) FROM t") == "0");
  writer.run("BEGIN TRAN; INSERT INTO t VALUES (1, 10); COMMIT");
  CHECK(reader.value("SELECT COUNT(*) FROM t") == "1");

  // A statement that fails is undone alone; with XACT_ABORT the whole transaction is.
  CHECK_THROWS_AS(
      writer.run("BEGIN TRAN; INSERT INTO t VALUES (2, 1); INSERT INTO t VALUES (3, 1), (1, 1)"),
      OdbcFailure);
  CHECK(writer.value("SELECT @@TRANCOUNT") == "1");
  writer.run("COMMIT");
  CHECK(reader.table("SELECT id FROM t ORDER BY id") == "1;2");
  CHECK_THROWS_AS(writer.run("SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO t VALUES (5, 1); INSERT "
                             "INTO t VALUES (1, 1)"),
                  OdbcFailure);
  CHECK(writer.value("SELECT @@TRANCOUNT") == "0");
  CHECK(reader.table("SELECT id FROM t ORDER BY id") == "1;2");
}

TEST_CASE("a driver with autocommit off ends its transactions by requests of its own") {
  SqlServerDouble server;
  server.execute("CREATE TABLE t (id int PRIMARY KEY)");
  OdbcClient client(dsn(server), false);
  client.run("INSERT INTO t VALUES (1)");
  client.end_transaction(false);
  client.run("INSERT INTO t VALUES (2)");
  client.end_transaction(true);
  CHECK(server.value("SELECT STRING_AGG(CONVERT(varchar(10), id), ',') FROM t") == "2");
}

TEST_CASE("parameters arrive by every procedure that the driver calls") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run(
      "CREATE TABLE t (id int IDENTITY(5, 2) PRIMARY KEY, name nvarchar(40), lsn binary(10))");
  client.run_bound("INSERT INTO t (name) VALUES (?)", {"ähnlich 😀"}, false, 3);
  CHECK(client.table("SELECT id, name FROM t") == "5,ähnlich 😀;7,ähnlich 😀;9,ähnlich 😀");
  const std::string lsn("\x00\x00\x00\x27\x00\x00\x07\x58\x00\x03", 10);
  client.run_bound("UPDATE t SET lsn = ? WHERE id = 7", {lsn}, true);
  const auto found = client.run_bound("SELECT id, lsn FROM t WHERE lsn >= ?", {lsn}, true, 2);
  REQUIRE(found.size() == 1);
  REQUIRE(found[0].rows.size() == 1);
  CHECK(found[0].rows[0][0] == "7");
  CHECK(found[0].rows[0][1] == "00000027000007580003");
  bool executed = false;
  for (const auto& statement : server.statements()) {
    executed = executed || statement.kind == "sp_execute";
  }
  CHECK(executed);
}

TEST_CASE("a statement is described before it runs") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run("CREATE TABLE t (id int PRIMARY KEY, name nvarchar(40))");
  CHECK(client.columns_of("SELECT id, name AS n FROM t WHERE id = ?") ==
        std::vector<std::string>{"id", "n"});
  CHECK(client.columns_of("INSERT INTO t VALUES (?, ?)").empty());
  CHECK(client.value("SELECT COUNT(*) FROM t") == "0");
}

TEST_CASE("a table made in a transaction goes with it") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run("BEGIN TRAN; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); ROLLBACK");
  CHECK(client.value("SELECT OBJECT_ID('dbo.t')") == "NULL");
  client.run("CREATE TABLE t (id int); BEGIN TRAN; ALTER TABLE t ADD more int; ROLLBACK");
  CHECK(client.value("SELECT COUNT(*) FROM sys.columns WHERE object_id = OBJECT_ID('t')") == "1");
}

TEST_CASE("queries join, group, sort, page and nest") {
  SqlServerDouble server;
  server.execute(
      "CREATE TABLE a (id int PRIMARY KEY, g varchar(10), n decimal(10,2));"
      "CREATE TABLE b (a_id int, t nvarchar(20));"
      "INSERT INTO a VALUES (1,'x',1.50),(2,'x',2.25),(3,'y',-1),(4,NULL,0);"
      "INSERT INTO b VALUES (1,'one'),(1,'uno'),(3,'three'),(9,'nine')");
  OdbcClient client(dsn(server));
  CHECK(client.table("SELECT a.id, b.t FROM a JOIN b ON b.a_id = a.id ORDER BY a.id, b.t DESC") ==
        "1,uno;1,one;3,three");
  CHECK(client.table(
            "SELECT a.id, b.t FROM a LEFT JOIN b ON b.a_id = a.id WHERE b.t IS NULL ORDER BY 1") ==
        "2,NULL;4,NULL");
  CHECK(client.table("SELECT b.t FROM a RIGHT JOIN b ON b.a_id = a.id WHERE a.id IS NULL") ==
        "nine");
  CHECK(client.table("SELECT g, COUNT(*), SUM(n), MAX(id) FROM a GROUP BY g HAVING COUNT(*) >= 1 "
                     "ORDER BY g") == "NULL,1,0.00,4;x,2,3.75,2;y,1,-1.00,3");
  CHECK(client.table("SELECT TOP (2) id FROM a WHERE id > 1 ORDER BY id DESC") == "4;3");
  CHECK(client.table("SELECT id FROM a ORDER BY id OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY") == "2;3");
  CHECK(client.table(
            "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id) ORDER BY id") ==
        "1;3");
  CHECK(client.table("SELECT id, (SELECT MAX(t) FROM b WHERE a_id = id) FROM a WHERE id IN (SELECT "
                     "a_id FROM b)") == "1,uno;3,three");
  CHECK(client.table("SELECT 1 AS n UNION ALL SELECT id FROM a WHERE id > 2 UNION ALL SELECT NULL "
                     "ORDER BY n") == "NULL;1;3;4");
  CHECK(client.table(
            "WITH c AS (SELECT id, n * 2 AS twice FROM a) SELECT c.id, x.v FROM c CROSS APPLY "
            "(SELECT c.twice + 1 AS v) x WHERE c.id <= 2") == "1,4.00;2,5.50");
  CHECK(
      client.table(
          "SELECT v.a, v.b FROM (VALUES (1, 'p'), (2, 'q')) AS v(a, b) WHERE v.b LIKE '[q-z]%'") ==
      "2,q");
  CHECK(
      client.table(
          "DECLARE @i int = 0; WHILE @i < 3 SET @i = @i + 1; IF @i = 3 SELECT @i ELSE SELECT -1") ==
      "3");
  CHECK(client.table("UPDATE a SET n = n + 1 OUTPUT deleted.n, inserted.n WHERE id = 3") ==
        "-1.00,0.00");
  CHECK(client.table("MERGE a AS t USING (VALUES (4, 'z'), (5, 'w')) AS s(id, g) ON t.id = s.id "
                     "WHEN MATCHED THEN UPDATE "
                     "SET g = s.g WHEN NOT MATCHED THEN INSERT (id, g) VALUES (s.id, s.g); SELECT "
                     "id, g FROM a WHERE id > 3") == "4,z;5,w");
  CHECK(client.table("BEGIN TRY SELECT 1/0; END TRY BEGIN CATCH SELECT ERROR_NUMBER(), "
                     "ERROR_SEVERITY() END CATCH") == "8134,16");
}

TEST_CASE("constraints hold, and cascade") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run(
      "CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE, CONSTRAINT c CHECK (u > 0));"
      "CREATE TABLE c (id int PRIMARY KEY, p_id int NOT NULL REFERENCES p(id) ON DELETE CASCADE);"
      "CREATE TABLE d (id int PRIMARY KEY, p_id int FOREIGN KEY REFERENCES p(id));"
      "INSERT INTO p VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2); INSERT "
      "INTO d VALUES (1, 2)");
  const auto number = [&client](const std::string& sql) {
    try {
      client.run(sql);
      return 0;
    } catch (const OdbcFailure& failure) {
      return failure.records[0].native;
    }
  };
  CHECK(number("INSERT INTO p VALUES (1, 9)") == 2627);
  CHECK(number("INSERT INTO p VALUES (9, 2)") == 2627);
  CHECK(number("INSERT INTO p VALUES (9, -1)") == 547);
  CHECK(number("INSERT INTO c VALUES (9, 7)") == 547);
  CHECK(number("INSERT INTO c VALUES (9, NULL)") == 515);
  CHECK(number("DELETE FROM p WHERE id = 2") == 547);
  CHECK(number("DELETE FROM p WHERE id = 1") == 0);
  CHECK(client.table("SELECT id FROM c") == "3");
  // Keys may pass from row to row inside one statement.
  CHECK(number("UPDATE c SET id = id + 1") == 0);
  CHECK(number("CREATE TABLE p (id int)") == 2714);
  CHECK(number("SELECT * FROM nothing") == 208);
  CHECK(number("SELECT nothing FROM p") == 207);
}

TEST_CASE("writers of one row wait for each other, time out, and find deadlocks") {
  SqlServerDouble server;
  server.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)");
  OdbcClient one(dsn(server));
  OdbcClient two(dsn(server));
  one.run("BEGIN TRAN; UPDATE t SET v = 1 WHERE id = 1");
  try {
    two.run("SET LOCK_TIMEOUT 20; UPDATE t SET v = 2 WHERE id = 1");
    FAIL("it did not wait");
  } catch (const OdbcFailure& failure) {
    CHECK(failure.has(1222));
  }
  // Readers with locks wait too; under SNAPSHOT and READ UNCOMMITTED they do not.
  CHECK_THROWS_AS(two.run("SELECT v FROM t WHERE id = 1"), OdbcFailure);
  CHECK(two.value("SELECT v FROM t WITH (NOLOCK) WHERE id = 1") == "1");
  CHECK(two.value("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT v FROM t WHERE id = 1") == "0");
  two.run(
      "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCK_TIMEOUT -1; BEGIN TRAN; UPDATE t "
      "SET v = 2 WHERE id = 2");

  std::string blocked;
  std::thread thread([&] {
    try {
      one.run("UPDATE t SET v = 3 WHERE id = 2; COMMIT");
    } catch (const OdbcFailure& failure) {
      blocked = failure.what();
    }
  });
  bool victim = false;
  try {
    // Whichever of the two closes the circle is the victim; the other goes on.
    two.run("UPDATE t SET v = 4 WHERE id = 1; COMMIT");
  } catch (const OdbcFailure& failure) {
    victim = failure.has(1205);
  }
  thread.join();
  CHECK(victim != (blocked.find("1205") != std::string::npos));
}

TEST_CASE("a table lock that is asked for keeps new writers waiting until it is given up") {
  SqlServerDouble server;
  server.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)");
  OdbcClient writer(dsn(server));
  OdbcClient locks(dsn(server));
  OdbcClient other(dsn(server));
  writer.run("BEGIN TRAN; UPDATE t SET v = 1 WHERE id = 1");
  const std::string lock = "SELECT TOP (1) 1 FROM t WITH (TABLOCK, HOLDLOCK)";
  locks.run("BEGIN TRAN; SET LOCK_TIMEOUT 300");
  std::thread waiting([&] { CHECK_THROWS_AS(locks.run(lock), OdbcFailure); });
  other.run("SET LOCK_TIMEOUT 1");
  // Who has written already goes on; readers do, too.
  bool stood = false;
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!stood && std::chrono::steady_clock::now() < patience) {
    writer.run("UPDATE t SET v = v + 1 WHERE id = 1");
    try {
      other.run("UPDATE t SET v = 2 WHERE id = 2");
    } catch (const OdbcFailure& failure) {
      stood = failure.has(1222);
    }
  }
  CHECK(stood);
  waiting.join();
  other.run("SET LOCK_TIMEOUT 1; UPDATE t SET v = 3 WHERE id = 2");
  writer.run("COMMIT");
  locks.run(lock);
  CHECK_THROWS_AS(other.run("UPDATE t SET v = 4 WHERE id = 2"), OdbcFailure);
  CHECK(other.value("SELECT v FROM t WHERE id = 2") == "3");
  locks.run("ROLLBACK");
  other.run("UPDATE t SET v = 4 WHERE id = 2");
}

TEST_CASE("rows are locked for update, and read past by others") {
  SqlServerDouble server;
  server.execute(
      "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)");
  OdbcClient one(dsn(server));
  OdbcClient two(dsn(server));
  const std::string take = "SELECT TOP (1) id FROM t WITH (UPDLOCK, ROWLOCK, READPAST) ORDER BY id";
  CHECK(one.value("BEGIN TRAN; " + take) == "1");
  CHECK(two.value("SET LOCK_TIMEOUT 10; BEGIN TRAN; " + take) == "2");
  CHECK(one.value(take) == "1");
  CHECK(one.value("SELECT COUNT(*) FROM t") == "3");
  CHECK_THROWS_AS(two.run("UPDATE t SET v = 1 WHERE id = 1"), OdbcFailure);
  CHECK_THROWS_AS(two.run("SELECT id FROM t WITH (UPDLOCK) WHERE id = 1"), OdbcFailure);
  one.run("COMMIT");
  CHECK(two.value("SELECT id FROM t WITH (UPDLOCK) WHERE id = 1") == "1");
  two.run("ROLLBACK");
}

TEST_CASE("a savepoint undoes what follows it, and a sequence never goes back") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run(
      "CREATE TABLE t (id bigint PRIMARY KEY); CREATE SEQUENCE ids AS bigint START WITH 10 "
      "INCREMENT BY 5");
  client.run(
      "BEGIN TRAN; INSERT INTO t VALUES (NEXT VALUE FOR ids); SAVE TRAN s; INSERT INTO t VALUES "
      "(NEXT VALUE FOR dbo.ids);"
      "ROLLBACK TRAN s; INSERT INTO t VALUES (NEXT VALUE FOR ids); COMMIT");
  CHECK(client.table("SELECT id FROM t") == "10;20");
}

TEST_CASE("a snapshot transaction sees one moment") {
  SqlServerDouble server;
  server.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)");
  OdbcClient snapshot(dsn(server));
  snapshot.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN");
  server.execute("INSERT INTO t VALUES (2, 2)");
  // The first read fixes it, not BEGIN TRAN.
  CHECK(snapshot.value("SELECT COUNT(*) FROM t") == "2");
  server.execute(
      "INSERT INTO t VALUES (3, 3); UPDATE t SET v = 9 WHERE id = 1; DELETE FROM t WHERE id = 2");
  CHECK(snapshot.table("SELECT id, v FROM t ORDER BY id") == "1,1;2,2");
  try {
    snapshot.run("UPDATE t SET v = 5 WHERE id = 1");
    FAIL("an update conflict went unseen");
  } catch (const OdbcFailure& failure) {
    CHECK(failure.has(3960));
  }
  CHECK(snapshot.value("SELECT COUNT(*) FROM t") == "2");
  CHECK(server.value("SELECT v FROM t WHERE id = 1") == "9");
}

}  // namespace
}  // namespace headgate::test
