// The PostgreSQL sink driver on a real server: atomicity, position, fence, net effect, shapes.

#include <deque>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "postgres_fixture.hpp"

using namespace headgate;
using namespace headgate::test;

namespace {

const SinkConfigPtr kItems =
    make_table("items", {{"id"}, {"name", "text", 25}, {"note", "text", 25}}, {0});

// Keeps the texts that cells point at.
std::deque<std::string> numbers;

}  // namespace

TEST_CASE(
    "nothing of a transaction shows before its commit, and all of it after, with the position") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  CHECK(sink->connect().position.empty());
  server.execute("CREATE TABLE public.items (id integer PRIMARY KEY, name text, note text)");

  Batch batch;
  batch.insert(kItems, {"1", "one", "a"}).insert(kItems, {"2", "two", Value::null()});
  PostgresFixture::write(*sink, batch);
  CHECK(server.rows("SELECT count(*) FROM items").empty() == false);
  CHECK(server.rows("SELECT * FROM items ORDER BY id").empty());
  CHECK(server.rows("SELECT position FROM headgate_positions") == "-");

  sink->commit({position_at(0x30), {}});
  CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|one|a 2|two|-");
  CHECK(server.rows("SELECT position, history, epoch FROM headgate_positions") ==
        "0x0000000000000030|postgres:7311:1:5|1");
}

// One transaction of the server wrote both: its id is on both rows. Anything else is a window in
// which a crash leaves the one without the other.
TEST_CASE("data and position are written by one transaction of the server") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"1", "one", "a"}), 0x10);
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"2", "two", "b"}), 0x20);
  CHECK(server.rows("SELECT (SELECT xmin FROM items WHERE id = 2) = p.xmin, "
                    "(SELECT xmin FROM items WHERE id = 1) = p.xmin FROM headgate_positions p") ==
        "t|f");
}

TEST_CASE("a rolled back transaction leaves neither rows nor tables nor a position") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  Batch batch;
  batch.insert(kItems, {"1", "one", "a"});
  PostgresFixture::write(*sink, batch);
  sink->rollback();
  CHECK(server.rows("SELECT to_regclass('public.items')") == "-");
  CHECK(server.rows("SELECT position FROM headgate_positions") == "-");

  // And the same driver can do it again.
  PostgresFixture::apply(*sink, batch, 0x30);
  CHECK(server.rows("SELECT * FROM items") == "1|one|a");
}

TEST_CASE("the position outlives the driver, and each connect raises the epoch") {
  PostgresFixture server;
  const auto first = server.make_sink();
  first->connect();
  PostgresFixture::apply(*first, Batch{}, 0x30);
  first->disconnect();

  const auto second = server.make_sink();
  const SinkPosition found = connect_when_free(*second);
  CHECK(found.position == position_at(0x30));
  CHECK(found.epoch == 2);
}

// Liveness: while the first session lives, the second is told who holds the lock.
TEST_CASE("a second process waits for the session lock and learns who holds it") {
  PostgresFixture server;
  const auto first = server.make_sink();
  first->connect();
  const auto second = server.make_sink();
  const Error error = error_of([&] { second->connect(); });
  CHECK(error.kind() == ErrorKind::kLocked);
  CHECK_THAT(error.what(), Catch::Contains("lock of pipeline shop") &&
                               Catch::Contains("pid " + std::to_string(::getpid())));
  first->disconnect();
  CHECK_NOTHROW(connect_when_free(*second));
}

// Safety: whatever became of the lock, an older process must not write. The epoch is raised by
// hand.
TEST_CASE("an older process is fenced at begin and at commit, and leaves nothing") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"1", "one", "a"}), 0x30);

  SECTION("epoch raised before begin") {
    server.execute("UPDATE headgate_positions SET epoch = epoch + 1");
    CHECK(error_of([&] { sink->begin(); }).kind() == ErrorKind::kFenced);
  }
  SECTION("position moved before begin") {
    server.execute("UPDATE headgate_positions SET position = '0x0000000000000031'");
    CHECK(error_of([&] { sink->begin(); }).kind() == ErrorKind::kFenced);
  }
  SECTION("row deleted before begin") {
    server.execute("DELETE FROM headgate_positions");
    CHECK(error_of([&] { sink->begin(); }).kind() == ErrorKind::kFenced);
  }
  SECTION("the row is locked from begin to commit") {
    sink->begin();
    CHECK_THROWS_WITH(
        server.execute(
            "SET lock_timeout = '100ms'; UPDATE headgate_positions SET epoch = epoch + 1"),
        Catch::Contains("lock timeout"));
  }
  sink->rollback();
  CHECK(server.rows("SELECT * FROM items") == "1|one|a");
}

TEST_CASE("the last state of each key is written, in every combination") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink,
                         Batch{}
                             .insert(kItems, {"1", "one", "a"})
                             .insert(kItems, {"2", "two", "b"})
                             .insert(kItems, {"3", "three", "c"}),
                         0x10);
  const Value unchanged = Value::unchanged();

  SECTION("update, delete, insert again") {
    PostgresFixture::apply(*sink,
                           Batch{}
                               .update(kItems, {"1", "uno", "a"})
                               .erase(kItems, {"2", Value::null(), Value::null()})
                               .insert(kItems, {"2", "dos", "b2"})
                               .erase(kItems, {"3", Value::null(), Value::null()}),
                           0x20);
    CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|uno|a 2|dos|b2");
  }
  SECTION("a column that was not sent stays as it is") {
    PostgresFixture::apply(*sink, Batch{}.update(kItems, {"1", "uno", unchanged}), 0x20);
    CHECK(server.rows("SELECT * FROM items WHERE id = 1") == "1|uno|a");
  }
  SECTION("a row moves to another key and keeps the column that was not sent") {
    PostgresFixture::apply(
        *sink,
        Batch{}.update(kItems, {"9", "nine", unchanged}, {"1", Value::null(), Value::null()}),
        0x20);
    CHECK(server.rows("SELECT * FROM items ORDER BY id") == "2|two|b 3|three|c 9|nine|a");
  }
  SECTION("keys are exchanged by way of a third") {
    PostgresFixture::apply(
        *sink,
        Batch{}
            .update(kItems, {"9", "one", "a"}, {"1", Value::null(), Value::null()})
            .update(kItems, {"1", "two", "b"}, {"2", Value::null(), Value::null()})
            .update(kItems, {"2", "one", "a"}, {"9", Value::null(), Value::null()}),
        0x20);
    CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|two|b 2|one|a 3|three|c");
  }
  SECTION("truncate between inserts") {
    PostgresFixture::apply(
        *sink,
        Batch{}.insert(kItems, {"4", "x", "x"}).truncate(kItems).insert(kItems, {"5", "five", "e"}),
        0x20);
    CHECK(server.rows("SELECT * FROM items") == "5|five|e");
  }
}

TEST_CASE("rows of a table without a key are kept as often as they came") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  const auto log = make_table("log", {{"n"}, {"j", "json", 114}}, {});
  PostgresFixture::apply(*sink,
                         Batch{}
                             .insert(log, {"1", "{\"a\": 1}"})
                             .insert(log, {"1", "{\"a\": 1}"})
                             .insert(log, {"1", "{\"a\": 1}"})
                             .erase(log, {"1", "{\"a\": 1}"})
                             .update(log, {"2", "{}"}, {"1", "{\"a\": 1}"}),
                         0x20);
  CHECK(server.rows("SELECT n, j::text FROM log ORDER BY n") == "1|{\"a\": 1} 2|{}");
}

// Two rows exchange a value that must be unique, by way of a third value, as the source had to do.
TEST_CASE("a table with another unique index is written in the source's order") {
  PostgresFixture server;
  server.execute("CREATE TABLE public.items (id integer PRIMARY KEY, name text UNIQUE, note text)");
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(
      *sink, Batch{}.insert(kItems, {"1", "one", "a"}).insert(kItems, {"2", "two", "b"}), 0x10);
  PostgresFixture::apply(*sink,
                         Batch{}
                             .update(kItems, {"1", "tmp", "a"})
                             .update(kItems, {"2", "one", "b"})
                             .update(kItems, {"1", "two", "a"}),
                         0x20);
  CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|two|a 2|one|b");
}

// A copy has a subtransaction, and so its rows another xmin than the position. What else may be
// done to a table decides whether COPY and INSERT are the same to it.
TEST_CASE("many new rows are copied, where nothing but their key is in the way") {
  constexpr int kRows = 600;
  PostgresFixture server;
  std::string columns = "id integer PRIMARY KEY, name text, note text";
  std::string then;
  std::string copied = "1";
  SECTION("a plain table") {}
  SECTION("an identity that is always generated, a generated column, a default and a check") {
    columns =
        "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text CHECK (name <> ''), "
        "note text, twice text GENERATED ALWAYS AS (name || note) STORED, more text DEFAULT 'd'";
  }
  SECTION("a partitioned table") {
    columns += ") PARTITION BY RANGE (id";
    then =
        "CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (300);"
        "CREATE TABLE high PARTITION OF items FOR VALUES FROM (300) TO (10000)";
  }
  SECTION("another unique index") {
    columns += ", UNIQUE (id, name)";
    copied = "0";
  }
  SECTION("a trigger") {
    then =
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER pass BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION pass()";
    copied = "0";
  }
  SECTION("a rule") {
    then = "CREATE RULE nothing AS ON DELETE TO items WHERE OLD.id < 0 DO INSTEAD NOTHING";
    copied = "0";
  }
  SECTION("a foreign key to it that waits") {
    then = "CREATE TABLE child (item integer REFERENCES items DEFERRABLE INITIALLY DEFERRED)";
    copied = "0";
  }
  server.execute("CREATE TABLE public.items (" + columns + ");" + then);
  const auto sink = server.make_sink();
  sink->connect();
  const auto rows = [&](int first) {
    auto batch = std::make_unique<Batch>();
    for (int id = first; id < first + kRows; ++id) {
      batch->insert(kItems, {numbers.emplace_back(std::to_string(id)).c_str(), "n", "o"});
    }
    return batch;
  };
  PostgresFixture::apply(*sink, *rows(1), 0x10);
  const std::string apart =
      "SELECT (count(*) FILTER (WHERE i.xmin <> p.xmin) > 0)::integer FROM items i, "
      "headgate_positions p WHERE i.id >= ";
  CHECK(server.rows("SELECT count(*), min(id), max(id) FROM items") == "600|1|600");
  CHECK(server.rows(apart + "1") == copied);

  // Once a row was in the way, it is taken for granted that there are more.
  server.execute(
      "INSERT INTO items (id, name, note) OVERRIDING SYSTEM VALUE VALUES (1111, 'x', 'y')");
  PostgresFixture::apply(*sink, *rows(1001), 0x20);
  CHECK(server.rows(apart + "1001") == "0");
  CHECK(server.rows("SELECT name, note FROM items WHERE id = 1111") == "n|o");
  sink->begin();
  sink->write(rows(2001)->operations());
  sink->commit({position_at(0x30), {}});
  CHECK(server.rows(apart + "2001") == "0");
  CHECK(server.rows("SELECT count(*) FROM items") == "1800");
}

TEST_CASE("foreign keys of the sink hold, also to the table itself") {
  PostgresFixture server;
  server.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, name text, note text);"
      "CREATE TABLE public.nodes (id integer PRIMARY KEY, "
      "parent integer REFERENCES public.nodes, item integer REFERENCES public.items)");
  const auto nodes = make_table("nodes", {{"id"}, {"parent"}, {"item"}}, {0});
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink,
                         Batch{}
                             .insert(kItems, {"1", "one", "a"})
                             .insert(nodes, {"1", Value::null(), "1"})
                             .insert(nodes, {"2", "1", "1"})
                             .update(nodes, {"2", Value::null(), "1"})
                             .erase(nodes, {"1", Value::null(), Value::null()}),
                         0x10);
  CHECK(server.rows("SELECT id, parent, item FROM nodes") == "2|-|1");

  // A parent that is missing is the row's fault, and nothing of the transaction stays.
  const Error error = error_of([&] {
    PostgresFixture::apply(
        *sink, Batch{}.insert(kItems, {"7", "x", "y"}).insert(nodes, {"3", "99", "1"}), 0x20);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  sink->rollback();
  CHECK(server.rows("SELECT count(*) FROM items WHERE id = 7") == "0");
}

TEST_CASE("names may be reserved words, hold quotes, or be in any script") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  const auto odd = make_table("select \"from\" — таблица",
                              {{"order"}, {"a\"b", "text", 25}, {"größe", "text", 25}}, {0, 1});
  PostgresFixture::apply(*sink, Batch{}.insert(odd, {"1", "x", "y"}), 0x10);
  PostgresFixture::apply(*sink, Batch{}.update(odd, {"1", "x", "'; DROP TABLE t; --"}), 0x20);
  CHECK(server.rows("SELECT * FROM \"select \"\"from\"\" — таблица\"") ==
        "1|x|'; DROP TABLE t; --");
}

TEST_CASE("a copy takes NULLs, escapes and binary values") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  const auto copy = [&](const SinkConfigPtr& table, const Batch& batch, std::uint64_t lsn) {
    sink->begin();
    sink->prepare_table(table, MissingTable::kCreate);
    sink->prepare_copy(*table, ExistingRows::kRefuse);
    sink->copy(batch.operations());
    sink->commit({position_at(lsn), {}});
  };
  SECTION("text") {
    copy(kItems,
         Batch{}
             .insert(kItems, {"1", "tab\tnewline\nback\\slash\rcr", "\\N"})
             .insert(kItems, {"2", "", Value::null()}),
         0x10);
    CHECK(server.rows("SELECT name = E'tab\\tnewline\\nback\\\\slash\\rcr', note = E'\\\\N' "
                      "FROM items WHERE id = 1") == "t|t");
    CHECK(server.rows("SELECT name = '', note IS NULL FROM items WHERE id = 2") == "t|t");
  }
  SECTION("binary") {
    const std::string one("\0\0\0\1", 4);
    copy(kItems, Batch{}.insert(kItems, {Value::binary(one), Value::binary("x"), Value::null()}),
         0x10);
    CHECK(server.rows("SELECT * FROM items") == "1|x|-");
  }
  SECTION("binary values in a set-based statement") {
    const std::string one("\0\0\0\1", 4);
    PostgresFixture::apply(
        *sink, Batch{}.insert(kItems, {Value::binary(one), Value::binary("x"), Value::null()}),
        0x10);
    CHECK(server.rows("SELECT * FROM items") == "1|x|-");
  }
}

// Tables are copied one after the other, in an order that knows nothing of the sink's foreign keys.
TEST_CASE("a copy fills a child before its parent where the sink's constraint can wait") {
  PostgresFixture server;
  server.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, name text, note text);"
      "CREATE TABLE public.children (id integer PRIMARY KEY, "
      "item integer REFERENCES public.items DEFERRABLE)");
  const auto children = make_table("children", {{"id"}, {"item"}}, {0});
  const auto sink = server.make_sink();
  sink->connect();
  sink->begin();
  Batch batch;
  batch.insert(children, {"1", "7"}).insert(kItems, {"7", "seven", "x"});
  for (const SinkConfigPtr& table : batch.tables()) {
    sink->prepare_table(table, MissingTable::kCreate);
    sink->prepare_copy(*table, ExistingRows::kRefuse);
  }
  sink->copy(batch.operations());
  sink->commit({position_at(0x10), {}});
  CHECK(server.rows("SELECT * FROM children") == "1|7");
}

TEST_CASE("a table that a first copy creates gets its key when its rows are there") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  sink->begin();
  sink->prepare_table(kItems, MissingTable::kCreate);
  sink->prepare_copy(*kItems, ExistingRows::kRefuse);
  Batch batch;
  batch.insert(kItems, {"1", "one", "x"}).insert(kItems, {"2", "two", "x"});
  sink->copy(batch.operations());

  SECTION("and is written to by that key afterwards") {
    sink->commit({position_at(0x10), {}});
    CHECK(server.rows("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                      "WHERE conrelid = 'items'::regclass AND contype = 'p'") ==
          "items_pkey|PRIMARY KEY (id)");
    Batch later;
    later.insert(kItems, {"2", "TWO", "y"});
    PostgresFixture::apply(*sink, later, 0x20);
    CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|one|x 2|TWO|y");
  }
  SECTION("so that rows of one key are found then, and nothing stays") {
    sink->copy(batch.operations());
    const Error error = error_of([&] { sink->commit({position_at(0x10), {}}); });
    CHECK(error.kind() == ErrorKind::kRow);
    CHECK_THAT(error.what(), Catch::Contains("items_pkey"));
    sink->rollback();
    CHECK(server.rows("SELECT to_regclass('items') IS NULL") == "t");
    sink->begin();
    sink->commit({position_at(0x10), {}});  // nothing is built that is no longer there
  }
}

TEST_CASE("rows that were there before the first copy are refused, replaced or kept") {
  PostgresFixture server;
  server.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, name text, note text);"
      "INSERT INTO public.items VALUES (1, 'old', 'old'), (2, 'old', 'old')");
  const auto sink = server.make_sink();
  sink->connect();
  sink->begin();
  sink->prepare_table(kItems, MissingTable::kCreate);
  Batch batch;
  batch.insert(kItems, {"1", "new", "new"});

  SECTION("refuse") {
    const Error error = error_of([&] { sink->prepare_copy(*kItems, ExistingRows::kRefuse); });
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK_THAT(error.what(), Catch::Contains("public.items") && Catch::Contains("existing"));
  }
  SECTION("replace") {
    sink->prepare_copy(*kItems, ExistingRows::kReplace);
    sink->copy(batch.operations());
    sink->commit({position_at(0x10), {}});
    CHECK(server.rows("SELECT * FROM items") == "1|new|new");
  }
  SECTION("keep") {
    sink->prepare_copy(*kItems, ExistingRows::kKeep);
    sink->copy(batch.operations());
    sink->commit({position_at(0x10), {}});
    CHECK(server.rows("SELECT * FROM items ORDER BY id") == "1|new|new 2|old|old");
  }
}

TEST_CASE("a table of another shape is refused with the statement that mends it") {
  PostgresFixture server;
  const auto refused_with = [&](const std::string& create) {
    server.execute("DROP TABLE IF EXISTS public.items; " + create);
    const auto sink = server.make_sink();
    connect_when_free(*sink);
    sink->begin();
    const Error error = error_of([&] { sink->prepare_table(kItems, MissingTable::kCreate); });
    CHECK(error.kind() == ErrorKind::kOperator);
    return error.describe();
  };
  CHECK_THAT(refused_with("CREATE TABLE items (id integer PRIMARY KEY, name text)"),
             Catch::Contains("no column note") && Catch::Contains("ADD COLUMN \"note\" text"));
  CHECK_THAT(refused_with("CREATE TABLE items (id integer, name text, note text)"),
             Catch::Contains("ADD PRIMARY KEY (\"id\")"));
  CHECK_THAT(refused_with("CREATE TABLE items (id smallint PRIMARY KEY, name text, note text)"),
             Catch::Contains("column id") && Catch::Contains("smallint") &&
                 Catch::Contains("TYPE integer"));
  CHECK_THAT(
      refused_with("CREATE TABLE items (id integer PRIMARY KEY, name text, note varchar(3))"),
      Catch::Contains("column note"));
  CHECK_THAT(refused_with("CREATE TABLE items (id integer PRIMARY KEY, name text, note text, "
                          "more integer NOT NULL)"),
             Catch::Contains("more") && Catch::Contains("DROP NOT NULL"));
  CHECK_THAT(refused_with("CREATE VIEW items AS SELECT 1 AS id"), Catch::Contains("not a table"));
}

TEST_CASE("a wider type in the sink is accepted") {
  PostgresFixture server;
  server.execute("CREATE TABLE public.items (id bigint PRIMARY KEY, name text, note text)");
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"1", "one", "a"}), 0x10);
  CHECK(server.rows("SELECT * FROM items") == "1|one|a");
}

TEST_CASE("a table that is gone from a sink with a position is not quietly made again") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  sink->begin();
  const Error error = error_of([&] { sink->prepare_table(kItems, MissingTable::kRefuse); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("public.items is not in the sink"));
}

TEST_CASE("a value that the sink cannot hold is a row error that does not show it") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  const Error error = error_of([&] {
    PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"secret", "x", "y"}), 1);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.describe(), !Catch::Contains("secret"));
}

// With synchronous_commit off, a commit is applied but not durable until flush().
TEST_CASE("asynchronous commits are told apart from durable ones") {
  PostgresFixture server;
  const auto on = server.make_sink();
  on->connect();
  CHECK(on->commits_are_durable());
  on->disconnect();

  const auto off = server.make_sink(" options='-c synchronous_commit=off'");
  connect_when_free(*off);
  CHECK_FALSE(off->commits_are_durable());
  PostgresFixture::apply(*off, Batch{}.insert(kItems, {"1", "one", "a"}), 0x10);
  const std::string written = server.rows("SELECT pg_current_wal_insert_lsn()");
  // The WAL writer sleeps for ten seconds here, so it is flush() that does it.
  CHECK(server.rows("SELECT pg_current_wal_flush_lsn() >= '" + written + "'") == "f");
  off->flush();
  CHECK(server.rows("SELECT pg_current_wal_flush_lsn() >= '" + written + "'") == "t");

  server.execute("UPDATE headgate_positions SET epoch = epoch + 1");
  CHECK(error_of([&] { off->flush(); }).kind() == ErrorKind::kFenced);
}

// What was durable when we connected stays so: a reload of the server's settings reaches sessions
// that are open, and this one would go on calling its commits durable.
TEST_CASE("a reload that makes commits asynchronous does not reach a session of ours") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"1", "one", "a"}), 0x10);
  server.execute("ALTER SYSTEM SET synchronous_commit = off");
  server.execute("SELECT pg_reload_conf()");
  for (int tries = 0; tries < 1000 && server.rows("SHOW synchronous_commit") != "off"; ++tries) {
    server.execute("SELECT pg_sleep(0.01)");
  }
  REQUIRE(server.rows("SHOW synchronous_commit") == "off");
  // The server's own processes write to the log, too, and do not flush it.
  std::string all_is_flushed = "f";
  for (std::uint64_t tries = 0; tries < 5 && all_is_flushed != "t"; ++tries) {
    PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"2", "two", "b"}), 0x20 + tries);
    all_is_flushed =
        server.rows("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()");
  }
  CHECK(all_is_flushed == "t");
  CHECK(sink->commits_are_durable());
  server.execute("ALTER SYSTEM RESET synchronous_commit");
  server.execute("SELECT pg_reload_conf()");
}

TEST_CASE("a lost connection is transient, and a lost reply to COMMIT is in doubt") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  const std::string kill =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
      "WHERE datname = current_database() AND pid <> pg_backend_pid()";
  SECTION("between transactions") {
    server.execute(kill);
    CHECK(error_of([&] { sink->begin(); }).kind() == ErrorKind::kTransient);
  }
  SECTION("within one") {
    PostgresFixture::write(*sink, Batch{}.insert(kItems, {"1", "one", "a"}));
    server.execute(kill);
    const Error error = error_of([&] { sink->commit({position_at(0x10), {}}); });
    // The position row is written first; had its reply come, COMMIT itself would be in doubt.
    CHECK((error.kind() == ErrorKind::kTransient || error.kind() == ErrorKind::kInDoubt));
  }
  sink->rollback();
  CHECK(connect_when_free(*sink).position.empty());
}

// A deferred trigger ends the session inside COMMIT. Whether it had committed, only the sink can
// tell.
TEST_CASE("a session that ends within COMMIT is in doubt") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.insert(kItems, {"1", "one", "a"}), 0x10);
  server.execute(
      "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
      "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION die()");
  PostgresFixture::write(*sink, Batch{});
  sink->write(Batch{}.insert(kItems, {"2", "two", "b"}).operations());
  CHECK(error_of([&] { sink->commit({position_at(0x20), {}}); }).kind() == ErrorKind::kInDoubt);
  sink->rollback();
  CHECK(connect_when_free(*sink).position == position_at(0x10));
}

TEST_CASE("an update that finds no row is counted, not fatal") {
  PostgresFixture server;
  const auto sink = server.make_sink();
  sink->connect();
  PostgresFixture::apply(*sink, Batch{}.update(kItems, {"1", "uno", Value::unchanged()}), 0x10);
  CHECK(sink->missing_rows() == 1);
}

// What may not be seen cannot be judged. The server refuses the very question, and would end the
// transaction, with the copies of other tables in it.
TEST_CASE("a table that may not be looked at takes no copy, and the transaction goes on") {
  PostgresFixture server;
  server.execute(
      "DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN; CREATE SCHEMA hidden;"
      "CREATE TABLE hidden.items (id integer PRIMARY KEY); GRANT CREATE ON SCHEMA public TO "
      "limited");
  const auto sink = server.make_sink(" user=limited");
  sink->connect();
  SinkConfig hidden = *kItems;
  hidden.output.name = {"hidden", "items"};
  sink->begin();
  sink->remember_table(record_of(*kItems));
  const Error error = error_of([&] { sink->check_copy_target(hidden, ExistingRows::kKeep); });
  CHECK(error.kind() == ErrorKind::kOperator);
  sink->commit({position_at(0x10), {}});
  CHECK(sink->known_tables().size() == 1);
  sink->disconnect();
  server.execute("DROP OWNED BY limited; DROP ROLE limited");
}
