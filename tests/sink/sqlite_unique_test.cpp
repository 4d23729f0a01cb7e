// Tables of the sink with rules of their own: unique indexes, triggers, columns of their own.

#include <catch2/catch.hpp>

#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

const auto kUsers = make_table("users", {{"id", TF::kInteger}, {"email"}, {"doc"}}, {0});
const auto kOther = make_table("other", {{"id", TF::kInteger}, {"v"}}, {0});

const auto kLog = make_table("log", {{"what"}}, {});

constexpr const char* kUnique =
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, doc TEXT)";

// Sorted by key, as for other tables, the first write would collide with a row that is about to
// change.
TEST_CASE("a unique value moves from one row to another") {
  Fixture fixture;
  fixture.execute(kUnique);
  fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}).insert(kUsers, {"2", "b", "y"}), 1);
  fixture.apply(Operations().update(kUsers, {"2", "c", "y"}).update(kUsers, {"1", "b", "x"}), 2);
  CHECK(fixture.table("users") == Strings{"1|'b'|'x'", "2|'c'|'y'"});
  fixture.apply(Operations().erase(kUsers, {"2", "c", "y"}).insert(kUsers, {"0", "c", "z"}), 3);
  CHECK(fixture.table("users") == Strings{"0|'c'|'z'", "1|'b'|'x'"});
}

TEST_CASE("in the source's order too, a row that is not there is written where it is known") {
  Fixture fixture;
  fixture.execute(kUnique);
  fixture.apply(Operations()
                    .update(kUsers, {"1", "a", "x"})
                    .update(kUsers, {"3", "c", "z"}, {"2", kNull, kNull})
                    .update(kUsers, {"4", "d", kUnsent}),
                1);
  CHECK(fixture.table("users") == Strings{"1|'a'|'x'", "3|'c'|'z'"});
  CHECK(fixture.sink->missing_rows() == 1);
}

// A source that checks the index at the end of the statement (a deferrable constraint, or SQL
// Server) sends a swap as it happened: no order of single updates satisfies the sink's index.
TEST_CASE("two rows swap their unique values") {
  Fixture fixture;
  fixture.execute(kUnique);
  fixture.apply(Operations()
                    .insert(kUsers, {"1", "a", "x"})
                    .insert(kUsers, {"2", "b", "y"})
                    .insert(kOther, {"1", "v"}),
                1);
  fixture.apply(Operations()
                    .update(kOther, {"1", "w"})
                    .insert(kLog, {"once"})
                    .update(kUsers, {"1", "b", "x"})
                    .update(kUsers, {"2", "a", "y"})
                    .erase(kUsers, {"7", kNull, kNull}, true),
                2);
  CHECK(fixture.table("users") == Strings{"1|'b'|'x'", "2|'a'|'y'"});
  CHECK(fixture.table("other") == Strings{"1|'w'"});
  CHECK(fixture.table("log") == Strings{"'once'"});
  CHECK(fixture.sink->missing_rows() == 1);
}

// Taking the rows out would lose what only the sink knows, or fire triggers for nothing.
TEST_CASE("a swap that would cost the sink something is a row error") {
  Fixture fixture;
  fixture.execute(GENERATE(as<std::string>{},
                           "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, doc "
                           "TEXT, mine TEXT)",
                           "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, doc "
                           "TEXT); CREATE TRIGGER d AFTER DELETE ON users BEGIN SELECT 1; END"));
  fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}).insert(kUsers, {"2", "b", "y"}), 1);
  CHECK(kind_of_error([&] {
          fixture.apply(
              Operations().update(kUsers, {"1", "b", "x"}).update(kUsers, {"2", "a", "y"}), 2);
        }) == ErrorKind::kRow);
}

TEST_CASE("a true duplicate is a row error, and nothing of its batch stays") {
  Fixture fixture;
  fixture.execute(kUnique);
  fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}), 1);
  const Error error = error_of([&] {
    fixture.apply(Operations().insert(kOther, {"1", "v"}).insert(kUsers, {"2", "a", "secret"}), 2);
  });
  fixture.sink->rollback();
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(),
             Catch::Contains("write to table users: UNIQUE constraint failed: users.email"));
  CHECK_THAT(error.describe(), !Catch::Contains("secret"));
  CHECK(fixture.table("users") == Strings{"1|'a'|'x'"});
  CHECK(fixture.value("SELECT position FROM headgate_positions") == "'0x0000000000000001'");
}

// An ON CONFLICT clause in the table's definition would drop a row without a word.
TEST_CASE("the table's own ON CONFLICT clauses drop nothing") {
  const std::string policy = GENERATE("IGNORE", "REPLACE");
  Fixture fixture;
  fixture.execute("CREATE TABLE users (id INTEGER PRIMARY KEY ON CONFLICT " + policy +
                  ", email TEXT UNIQUE ON CONFLICT " + policy + ", doc TEXT NOT NULL ON CONFLICT " +
                  policy + ")");
  fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}), 1);
  const auto row = GENERATE(values<Cells>({{"2", "a", "y"}, {"2", "b", kNull}}));
  CHECK(kind_of_error([&] { fixture.apply(Operations().insert(kUsers, row), 2); }) ==
        ErrorKind::kRow);
  fixture.sink->rollback();
  CHECK(fixture.table("users") == Strings{"1|'a'|'x'"});
}

TEST_CASE("triggers see every step in the source's order") {
  Fixture fixture;
  fixture.execute(
      "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, doc TEXT);"
      "CREATE TABLE seen (n INTEGER PRIMARY KEY, what TEXT);"
      "CREATE TRIGGER i AFTER INSERT ON users BEGIN "
      "  INSERT INTO seen(what) VALUES ('+' || new.id || new.email); END;"
      "CREATE TRIGGER u AFTER UPDATE ON users BEGIN "
      "  INSERT INTO seen(what) VALUES (old.id || old.email || '>' || new.id || new.email); END;"
      "CREATE TRIGGER d AFTER DELETE ON users BEGIN "
      "  INSERT INTO seen(what) VALUES ('-' || old.id || old.email); END;");
  fixture.apply(Operations()
                    .insert(kUsers, {"2", "a", "x"})
                    .update(kUsers, {"2", "b", kUnsent})
                    .update(kUsers, {"1", "b", kUnsent}, {"2", kNull, kNull})
                    .insert(kUsers, {"0", "c", "y"})
                    .erase(kUsers, {"1", kNull, kNull}, true),
                1);
  CHECK(fixture.rows("SELECT what FROM seen ORDER BY n") ==
        Strings{"'+2a'", "'2a>2b'", "'2b>1b'", "'+0c'", "'-1b'"});
  CHECK(fixture.table("users") == Strings{"0|'c'|'y'"});
}

TEST_CASE("a trigger that swallows a row is a row error") {
  Fixture fixture;
  fixture.execute(
      "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, doc TEXT);"
      "CREATE TRIGGER i BEFORE INSERT ON users BEGIN SELECT RAISE(IGNORE); END;");
  const Error error = error_of([&] {
    fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}), 1);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(), Catch::Contains("a trigger of the sink ignored the row"));
}

TEST_CASE("columns that only the sink has survive, even when the key moves") {
  Fixture fixture;
  fixture.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, doc TEXT, mine TEXT)");
  fixture.apply(Operations().insert(kUsers, {"1", "a", "x"}), 1);
  fixture.execute("UPDATE users SET mine = 'kept'");
  fixture.apply(Operations()
                    .update(kUsers, {"1", "b", "x"})
                    .update(kUsers, {"2", "c", "x"}, {"1", kNull, kNull}),
                2);
  CHECK(fixture.table("users") == Strings{"2|'c'|'x'|'kept'"});
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
