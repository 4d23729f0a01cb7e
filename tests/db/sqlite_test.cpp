#include <stdlib.h>
#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "db/sqlite/statement.hpp"
#include "db/sqlite/transaction.hpp"

namespace headgate::db::sqlite {
namespace {

class Folder {
 public:
  Folder() : path_("/tmp/headgate-db-XXXXXX") { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// The kind of error that `action` throws.
template <typename Action>
ErrorKind kind_thrown_by(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::kOperator;
}

OpenOptions impatient() {
  return {.busy_timeout = std::chrono::milliseconds(1)};
}

TEST_CASE("values come back as they were bound, and empty is not NULL") {
  Connection connection(":memory:");
  connection.execute("CREATE TABLE t (a ANY, b ANY, c ANY, d ANY, e ANY, f ANY) STRICT");
  Statement insert(connection, "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "insert");
  const std::string zero_inside("\0x\0", 3);
  insert.bind_null(1);
  insert.bind_integer(2, INT64_MIN);
  insert.bind_real(3, 5e-324);
  insert.bind_text(4, {});
  insert.bind_blob(5, {});
  insert.bind_blob_copy(6, zero_inside);
  insert.run();

  Statement select(connection, "SELECT *, typeof(d), typeof(e) FROM t", "select");
  Rows rows = select.rows();
  REQUIRE(rows.next());
  CHECK(rows.is_null(0));
  CHECK(rows.integer(1) == INT64_MIN);
  CHECK(rows.real(2) == 5e-324);
  CHECK_FALSE(rows.is_null(3));
  CHECK_FALSE(rows.is_null(4));
  CHECK(rows.text(5) == zero_inside);
  CHECK(rows.text(6) == "text");
  CHECK(rows.text(7) == "blob");
  CHECK_FALSE(rows.next());
}

// A statement that failed, or whose rows were left unread, would hold its lock and fail the next
// run.
TEST_CASE("a statement can run again after an error and after unread rows") {
  Connection connection(":memory:");
  connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
  Statement insert(connection, "INSERT INTO t VALUES (?1)", "insert");
  insert.bind_integer(1, 1);
  CHECK(kind_thrown_by([&] { insert.run(); }) == ErrorKind::kRow);
  insert.bind_integer(1, 3);
  insert.run();

  Statement select(connection, "SELECT a FROM t ORDER BY a", "select");
  for (int i = 0; i < 2; ++i) {
    Rows rows = select.rows();
    REQUIRE(rows.next());
    CHECK(rows.integer(0) == 1);
  }
  connection.execute("DROP TABLE t");  // locked, had a read been left open
}

TEST_CASE("a transaction that is not committed leaves nothing") {
  Connection connection(":memory:");
  connection.execute("CREATE TABLE t (a)");
  {
    Transaction transaction(connection);
    connection.execute("INSERT INTO t VALUES (1)");
    CHECK(connection.in_transaction());
  }
  CHECK_FALSE(connection.in_transaction());
  CHECK(connection.query_integer("SELECT count(*) FROM t") == 0);
  {
    Transaction transaction(connection);
    connection.execute("INSERT INTO t VALUES (1)");
    transaction.commit();
  }
  CHECK(connection.query_integer("SELECT count(*) FROM t") == 1);
}

TEST_CASE("any name can be quoted") {
  Connection connection(":memory:");
  for (const std::string name : {"select", "a\"b", "spalte ä", "x'; DROP TABLE y", "[z]", "`"}) {
    connection.execute("CREATE TABLE " + quote_identifier(name) + " (" + quote_identifier(name) +
                       " INTEGER)");
    connection.execute("INSERT INTO " + quote_identifier(name) + " VALUES (7)");
    Statement select(connection, "SELECT name FROM sqlite_schema WHERE name = ?1", "select");
    select.bind_text(1, name);
    CHECK(select.rows().next());
  }
}

TEST_CASE("each result code is classed by what to do about it") {
  const auto [code, kind] = GENERATE(table<int, ErrorKind>({
      {SQLITE_BUSY, ErrorKind::kTransient},
      {SQLITE_BUSY_SNAPSHOT, ErrorKind::kTransient},
      {SQLITE_LOCKED_SHAREDCACHE, ErrorKind::kTransient},
      {SQLITE_PROTOCOL, ErrorKind::kTransient},
      {SQLITE_FULL, ErrorKind::kSystemic},
      {SQLITE_IOERR_FSYNC, ErrorKind::kSystemic},
      {SQLITE_IOERR_WRITE, ErrorKind::kSystemic},
      {SQLITE_READONLY_DBMOVED, ErrorKind::kOperator},
      {SQLITE_PERM, ErrorKind::kOperator},
      {SQLITE_CANTOPEN_ISDIR, ErrorKind::kOperator},
      {SQLITE_AUTH, ErrorKind::kOperator},
      {SQLITE_NOTADB, ErrorKind::kOperator},
      {SQLITE_CORRUPT_VTAB, ErrorKind::kOperator},
      {SQLITE_CONSTRAINT_UNIQUE, ErrorKind::kRow},
      {SQLITE_CONSTRAINT_DATATYPE, ErrorKind::kRow},
      {SQLITE_MISMATCH, ErrorKind::kRow},
      {SQLITE_TOOBIG, ErrorKind::kRow},
      {SQLITE_ERROR, ErrorKind::kOperator},
      {SQLITE_MISUSE, ErrorKind::kOperator},
  }));
  CHECK(kind_of(code) == kind);
}

TEST_CASE("a lock of another connection is transient") {
  const Folder folder;
  Connection holder(folder.file("a.db"));
  Connection second(folder.file("a.db"), impatient());
  Transaction transaction(holder);
  CHECK(kind_thrown_by([&] { Transaction waiting(second); }) == ErrorKind::kTransient);
}

TEST_CASE("a full database is systemic and names the file and the remedy") {
  const Folder folder;
  Connection connection(folder.file("a.db"));
  connection.execute("CREATE TABLE t (a); PRAGMA max_page_count = 4");
  try {
    connection.execute("INSERT INTO t VALUES (zeroblob(100000))");
    FAIL("it fitted");
  } catch (const SqliteError& error) {
    CHECK(error.kind() == ErrorKind::kSystemic);
    CHECK_THAT(error.what(), Catch::Contains(folder.file("a.db")));
    CHECK_THAT(error.hint(), Catch::Contains("free space"));
  }
}

TEST_CASE("an error holds neither SQL nor values") {
  Connection connection(":memory:");
  connection.execute("CREATE TABLE t (a TEXT PRIMARY KEY); INSERT INTO t VALUES ('secret')");
  Statement insert(connection, "INSERT INTO t(a) VALUES (?1)", "write to table t");
  insert.bind_text(1, "secret");
  try {
    insert.run();
    FAIL("a duplicate was taken");
  } catch (const SqliteError& error) {
    CHECK(error.is_duplicate());
    CHECK(std::string(error.what()) == ":memory:: write to table t: UNIQUE constraint failed: t.a");
  }
}

TEST_CASE("what only a person can mend asks for a person") {
  const Folder folder;
  CHECK(kind_thrown_by([&] { Connection(folder.file("no/a.db")); }) == ErrorKind::kOperator);

  std::ofstream(folder.file("text")) << std::string(4096, 'x');
  Connection text(folder.file("text"));
  CHECK(kind_thrown_by([&] { text.execute("SELECT * FROM t"); }) == ErrorKind::kOperator);

  { Connection(folder.file("a.db")).execute("CREATE TABLE t (a)"); }
  Connection reader(folder.file("a.db"), {.read_only = true});
  CHECK(reader.read_only());
  CHECK(kind_thrown_by([&] { reader.execute("INSERT INTO t VALUES (1)"); }) ==
        ErrorKind::kOperator);
}

// SQLite would otherwise read a misspelt column in double quotes as a string, and store that.
TEST_CASE("a double-quoted name that is no column is an error") {
  Connection connection(":memory:");
  connection.execute("CREATE TABLE t (a)");
  CHECK(kind_thrown_by([&] { connection.execute("INSERT INTO t SELECT \"b\""); }) ==
        ErrorKind::kOperator);
}

// Debian's SQLite takes names that begin with "file:" for URIs, with options in them.
TEST_CASE("a path is never read as a URI") {
  const Folder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.file(""));
  { Connection("file:a.db?mode=memory").execute("CREATE TABLE t (a)"); }
  std::filesystem::current_path(before);
  CHECK(std::filesystem::exists(folder.file("file:a.db?mode=memory")));
}

}  // namespace
}  // namespace headgate::db::sqlite
