// A COPY that stays open from one portion of a large transaction to the next.

#include <deque>
#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "postgres_fixture.hpp"

using namespace headgate;
using namespace headgate::test;

namespace {

constexpr int kPortion = 6000;

const SinkConfigPtr kItems = make_table("items", {{"id"}, {"name", "text", 25}}, {0});

// Inserts of the ids from `first` on.
struct NewRows {
  Batch batch;
  std::deque<std::string> texts;

  explicit NewRows(int first, int count = kPortion) {
    for (int id = first; id < first + count; ++id) {
      batch.insert(kItems, {texts.emplace_back(std::to_string(id)).c_str(), "new"});
    }
  }
};

class OpenCopy {
 public:
  OpenCopy() : sink_(server_.make_sink()) {
    server_.execute("CREATE TABLE public.items (id integer PRIMARY KEY, name text)");
    connect();
  }

  void connect() { connect_when_free(*sink_); }
  void begin() {
    sink_->begin();
    sink_->prepare_table(kItems, MissingTable::kRefuse);
  }
  void write(const Batch& batch) { sink_->write(batch.operations()); }
  void write(const NewRows& portion) { write(portion.batch); }
  void commit(std::uint64_t lsn) { sink_->commit({position_at(lsn), {}}); }

  SinkDriver& sink() { return *sink_; }
  PostgresFixture& server() { return server_; }

  bool is_open() {
    return server_.rows(
               "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()") ==
           "1";
  }
  std::string rows() { return server_.rows("SELECT count(*), min(id), max(id) FROM items"); }

 private:
  PostgresFixture server_;
  std::unique_ptr<sink::postgres::PostgresSink> sink_;
};

}  // namespace

TEST_CASE("portions of new rows go into one copy, which the commit ends") {
  OpenCopy test;
  test.begin();
  test.write(NewRows(1));
  CHECK(test.is_open());
  test.write(NewRows(1 + kPortion));
  CHECK(test.is_open());
  test.write(NewRows(1 + 2 * kPortion, 3));  // the last one is small
  CHECK(test.is_open());
  CHECK(test.rows() == "0|-|-");
  test.commit(0x10);
  CHECK_FALSE(test.is_open());
  CHECK(test.rows() == "12003|1|12003");
  CHECK(test.server().rows("SELECT count(DISTINCT i.xmin::text) FROM items i, "
                           "headgate_positions p WHERE i.xmin = p.xmin") == "1");
}

TEST_CASE("new rows of one table behind some of another have an open copy, too") {
  const SinkConfigPtr others = make_table("others", {{"id"}}, {0});
  OpenCopy test;
  test.begin();
  test.sink().prepare_table(others, MissingTable::kCreate);
  test.write(NewRows(1));
  Batch two;
  for (const char* id : {"1", "2"}) {
    two.insert(others, {id});
  }
  test.write(two);
  CHECK_FALSE(test.is_open());
  NewRows next(1 + kPortion);
  test.write(next);
  CHECK(test.is_open());
  test.commit(0x10);
  CHECK(test.rows() == "12000|1|12000");
  CHECK(test.server().rows("SELECT count(*) FROM others") == "2");
}

// What the server refuses shows when the copy ends, and not before.
TEST_CASE("a copy ends by itself before very much has been sent in vain") {
  const SinkConfigPtr wide = make_table("wide", {{"id"}, {"t", "text", 25}}, {0});
  const std::string text(5000, 'x');
  OpenCopy test;
  test.sink().begin();
  test.sink().prepare_table(wide, MissingTable::kCreate);
  std::deque<std::string> ids;
  const auto write = [&] {
    Batch batch;
    for (int i = 0; i < kPortion; ++i) {
      batch.insert(wide, {ids.emplace_back(std::to_string(ids.size())).c_str(), text.c_str()});
    }
    test.write(batch);
    return test.is_open();
  };
  CHECK(write());  // 30 MB
  CHECK(write());
  CHECK_FALSE(write());
  CHECK(write());
  test.commit(0x10);
  CHECK(test.server().rows("SELECT count(*) FROM wide") == "24000");
}

TEST_CASE("what follows in the same portion or the next one meets the copied rows") {
  OpenCopy test;
  test.begin();
  SECTION("in the same") {
    NewRows portion(1);
    portion.batch.update(kItems, {"5", "again"}).erase(kItems, {"6", Value::null()});
    portion.batch.insert(kItems, {"6", "anew"}).erase(kItems, {"7", Value::null()});
    test.write(portion);
    CHECK_FALSE(test.is_open());
  }
  SECTION("in the next one") {
    test.write(NewRows(1));
    Batch next;
    next.update(kItems, {"5", "again"}).erase(kItems, {"6", Value::null()});
    next.insert(kItems, {"6", "anew"}).erase(kItems, {"7", Value::null()});
    test.write(next);
    CHECK_FALSE(test.is_open());
  }
  SECTION("behind new rows in the next one") {
    test.write(NewRows(1));
    NewRows next(1 + kPortion, 10);
    next.batch.update(kItems, {"5", "again"}).erase(kItems, {"6", Value::null()});
    next.batch.insert(kItems, {"6", "anew"}).erase(kItems, {"7", Value::null()});
    next.batch.erase(kItems, {"6001", Value::null()}).erase(kItems, {"6010", Value::null()});
    test.write(next);
    CHECK_FALSE(test.is_open());
    test.write(NewRows(1 + 2 * kPortion));
    Batch last;
    last.truncate(kItems);
    test.write(last);
    test.write(NewRows(8, kPortion - 7));
    Batch first;
    for (const char* id : {"1", "2", "3", "4"}) {
      first.insert(kItems, {id, "new"});
    }
    first.insert(kItems, {"5", "again"}).insert(kItems, {"6", "anew"});
    test.write(first);
  }
  test.commit(0x10);
  CHECK(test.rows() == "5999|1|6000");
  CHECK(test.server().rows("SELECT id, name FROM items WHERE name <> 'new' ORDER BY 1") ==
        "5|again 6|anew");
}

TEST_CASE("a copy goes on as text from the first value without a binary form") {
  const SinkConfigPtr texts = make_table("texts", {{"id", "text", 25}, {"n"}}, {0});
  const std::string four("\0\0\0\4", 4);
  OpenCopy test;
  test.sink().begin();
  test.sink().prepare_table(texts, MissingTable::kCreate);
  std::deque<std::string> ids;
  const auto rows = [&](Value n) {
    Batch batch;
    for (int i = 0; i < kPortion; ++i) {
      batch.insert(texts, {ids.emplace_back("k\t" + std::to_string(ids.size())).c_str(), n});
    }
    batch.insert(texts,
                 {ids.emplace_back("k\t" + std::to_string(ids.size())).c_str(), Value::null()});
    test.write(batch);
  };
  rows(Value::binary(four));
  rows(Value::text("5"));
  rows(Value::binary(four));
  CHECK(test.is_open());
  test.commit(0x10);
  CHECK(test.server().rows("SELECT n, count(*) FROM texts GROUP BY n ORDER BY n") ==
        "4|12000 5|6000 -|3");
  CHECK(test.server().rows("SELECT count(*) FROM texts WHERE id LIKE E'k\\t%'") == "18003");
}

// The sink has more than the source had.
TEST_CASE("a row that is in the way costs the attempt, and no more copies are left open") {
  OpenCopy test;
  test.server().execute("INSERT INTO items VALUES (7, 'in the way')");
  test.begin();
  const Error error = error_of([&] {
    test.write(NewRows(1));
    test.write(NewRows(1 + kPortion));
    test.commit(0x10);
  });
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_THAT(error.what(), Catch::Contains("items") && Catch::Contains("written again"));
  test.sink().rollback();
  CHECK(test.rows() == "1|7|7");
  test.sink().disconnect();

  test.connect();
  test.begin();
  test.write(NewRows(1));
  CHECK_FALSE(test.is_open());
  test.write(NewRows(1 + kPortion));
  test.commit(0x10);
  CHECK(test.rows() == "12000|1|12000");
  CHECK(test.server().rows("SELECT name FROM items WHERE id = 7") == "new");
}

TEST_CASE("a row that the sink can never take is blamed in the second attempt") {
  OpenCopy test;
  test.server().execute("ALTER TABLE items ADD CHECK (id <> 8000)");
  for (const ErrorKind kind : {ErrorKind::kTransient, ErrorKind::kRow}) {
    test.begin();
    const Error error = error_of([&] {
      test.write(NewRows(1));
      test.write(NewRows(1 + kPortion));
      test.commit(0x10);
    });
    CHECK(error.kind() == kind);
    CHECK_THAT(error.what(), Catch::Contains("items_id_check"));
    test.sink().rollback();
  }
  CHECK(test.rows() == "0|-|-");
}

TEST_CASE("whatever else is asked of the sink ends the copy first, and nothing of it is lost") {
  OpenCopy test;
  test.begin();
  test.write(NewRows(1));
  REQUIRE(test.is_open());
  SECTION("a sign of life") {
    test.sink().keep_alive();
  }
  SECTION("a table is prepared") {
    test.sink().prepare_table(make_table("others", {{"id"}}, {0}), MissingTable::kCreate);
  }
  SECTION("the table itself is prepared once more") {
    test.sink().prepare_table(kItems, MissingTable::kRefuse);
  }
  SECTION("a table is remembered") {
    test.sink().remember_table(record_of(*kItems));
  }
  SECTION("a table is looked for") {
    CHECK(test.sink().has_table({"public", "items"}));
  }
  SECTION("a table is altered") {
    test.sink().alter_table({{"ALTER TABLE public.items ADD COLUMN more integer"}, {}});
  }
  CHECK_FALSE(test.is_open());
  test.write(NewRows(1 + kPortion));
  CHECK(test.is_open());
  test.commit(0x10);
  CHECK(test.rows() == "12000|1|12000");
}

TEST_CASE("a copy that is open goes with its transaction") {
  OpenCopy test;
  test.begin();
  test.write(NewRows(1));
  SECTION("rolled back, and the connection goes on") {
    test.sink().rollback();
    test.begin();
  }
  SECTION("its connection closed") {
    test.sink().disconnect();
    test.connect();
    test.begin();
  }
  SECTION("its connection lost") {
    test.server().execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_copy");
    const Error error = error_of([&] {
      test.write(NewRows(1 + kPortion));
      test.commit(0x10);
    });
    CHECK(error.kind() == ErrorKind::kTransient);
    test.sink().rollback();
    test.sink().disconnect();
    test.connect();
    test.begin();
    test.write(NewRows(1));
    CHECK(test.is_open());  // that was nothing against copies
    test.sink().rollback();
    test.begin();
  }
  test.write(NewRows(101, 10));
  test.commit(0x10);
  CHECK(test.rows() == "10|101|110");
}

TEST_CASE("the rows of a first copy go into one copy too, and its refusal is the answer") {
  OpenCopy test;
  bool as_chunk = false;
  SECTION("all at once") {}
  SECTION("as a chunk") {
    as_chunk = true;
  }
  const auto copy = [&](const NewRows& rows) {
    if (as_chunk) {
      test.sink().copy_chunk(rows.batch.operations(), false);
    } else {
      test.sink().copy(rows.batch.operations());
    }
  };
  test.begin();
  SECTION("taken") {
    copy(NewRows(1, 10));
    CHECK(test.is_open());
    copy(NewRows(11, 10));
    CHECK(test.is_open());
    test.commit(0x10);
    CHECK(test.rows() == "20|1|20");
  }
  SECTION("refused") {
    test.server().execute("INSERT INTO items VALUES (7, 'in the way')");
    const Error error = error_of([&] {
      copy(NewRows(1, 10));
      test.commit(0x10);
    });
    CHECK(error.kind() == ErrorKind::kRow);
    CHECK_THAT(error.what(), Catch::Contains("items_pkey"));
  }
}
