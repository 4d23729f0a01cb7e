// Copy points of a SQL Server source: the rows that are read at a point are those of its position,
// whatever was committed while it was made. The server is the double, through FreeTDS's real
// driver, or the one that HEADGATE_TEST_SQLSERVER names.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "core/value_text.hpp"
#include "source/sqlserver/chunk_reader.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_database.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/wait_until.hpp"

namespace headgate::source::sqlserver {
namespace {

using namespace std::chrono_literals;
using test::SqlServerDouble;

using Lines = std::vector<std::string>;

constexpr const char* kDoubleDoes = "captures and misbehaves when it is told to";

// Who makes the capture process read.
enum class Capture {
  kItself,  // it reads on its own
  kByHand,  // the test, which only the double can do
};

// A database, and a reader of its copy points.
class Copying {
 public:
  explicit Copying(QueryMode mode = QueryMode::kDirect) : Copying(Capture::kByHand, mode) {}
  explicit Copying(Capture who, QueryMode mode = QueryMode::kDirect)
      : by_hand_(who == Capture::kByHand) {
    if (by_hand_) {
      server().set_capture(test::CaptureMode::kManual);
    }
    create("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL, body nvarchar(max) NULL)",
           "t");
    capture();
    options.connection_string = database.connection_string();
    options.tables = {"dbo.*"};
    options.query_mode = mode;
    options.copy_rows = true;
    if (database.scripted() != nullptr) {
      options.commit_settles = 0s;  // its commits are seen at once
    }
  }

  void create(const std::string& table, const std::string& name) {
    execute(table);
    execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'" + name +
            "', @role_name = NULL");
  }
  // On the double also from a fault's own thread.
  void execute(const std::string& sql) {
    if (by_hand_) {
      server().execute(sql);
    } else {
      database.execute(sql);
    }
  }
  // What was committed so far is captured.
  void capture() {
    if (by_hand_) {
      server().capture();
      server().write_idle_row();
    } else {
      database.wait_captured();
    }
  }
  // REQUIRES: Capture::kByHand, or a test that needs the double.
  SqlServerDouble& server() { return *database.scripted(); }

  void open() {
    session = std::make_unique<Session>(options, make_logger("test"));
    session->prepare({});
    reader = std::make_unique<ChunkReader>(*session, clock, make_logger("test"));
  }

  // Pins the view. By hand, nothing is captured behind it yet.
  void pin() {
    reader->request_point();
    const bool passed = reader->point(clock.now()).has_value();
    REQUIRE(!(passed && by_hand_));
  }
  // Everything that is committed by now is captured, and the log's end was seen.
  Position capture_all() {
    capture();
    const auto point = reader->point(clock.now() + 20s);
    REQUIRE(point.has_value());
    return *point;
  }

  CopyTable table(const std::string& name) {
    for (const CopyTable& candidate : reader->tables(nullptr)) {
      if (candidate.schema->name.table == name) {
        return candidate;
      }
    }
    FAIL("no table " << name);
    return {};
  }

  // The rows of the chunk that was begun, sorted: "1,one,NULL".
  Lines rows(const CopyTable& table, std::size_t bytes_max = 1 << 20) {
    Lines lines;
    bool end = false;
    while (!end) {
      Transaction portion("copy", LSN{}, clock.wall_now());
      end = reader->read(portion, bytes_max, clock.now() + 10s).end;
      for (const Change& change : portion.changes()) {
        std::string line;
        for (std::size_t i = 0; i < change.data.size(); ++i) {
          line += i == 0 ? "" : ",";
          line += change.data[i].is_null() ? "NULL"
                                           : value_text(table.schema->columns[i], change.data[i]);
        }
        lines.push_back(line);
      }
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  Lines all(const std::string& name) {
    const CopyTable found = table(name);
    REQUIRE(reader->begin_chunk(found, {}, 1000));
    return rows(found);
  }

  // Every chunk of the table, one after the other, and how many rows each had.
  Lines in_chunks(const std::string& name, std::size_t rows_max, std::vector<std::size_t>& sizes) {
    const CopyTable found = table(name);
    Lines lines;
    std::optional<KeyText> cursor = KeyText{};
    while (cursor) {
      REQUIRE(reader->begin_chunk(found, *cursor, rows_max));
      const Lines chunk = rows(found);
      sizes.push_back(chunk.size());
      lines.insert(lines.end(), chunk.begin(), chunk.end());
      cursor = reader->next_cursor();
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  test::SqlServerDatabase database;
  SystemClock clock;
  Options options;
  std::unique_ptr<Session> session;
  std::unique_ptr<ChunkReader> reader;

 private:
  const bool by_hand_;
};

// Changes before the view and not captured yet, changes behind it that are captured with the point,
// and one that comes too late for it. The same by both ways to read changes.
TEST_CASE("rows at a point are those of its position, whatever was committed while it was made") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const QueryMode mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  Copying copying(mode);
  copying.execute(
      "INSERT INTO dbo.t VALUES (1, 1, N'a'), (2, 2, N'b'), (3, 3, N'c'), (4, 4, N'd'), "
      "(5, 5, N'e')");
  copying.server().capture();
  copying.open();
  copying.execute("INSERT INTO dbo.t VALUES (6, 6, NULL)");
  copying.execute("DELETE FROM dbo.t WHERE id = 5");
  copying.pin();
  copying.execute("UPDATE dbo.t SET n = 10 WHERE id = 1");
  copying.execute("UPDATE dbo.t SET n = 11 WHERE id = 1");
  copying.execute("DELETE FROM dbo.t WHERE id = 2");
  copying.execute("INSERT INTO dbo.t VALUES (7, 7, N'g')");
  copying.execute("DELETE FROM dbo.t WHERE id = 3");
  copying.execute("INSERT INTO dbo.t VALUES (3, 33, N'cc')");
  copying.execute("UPDATE dbo.t SET body = NULL WHERE id = 4");
  const Position point = copying.capture_all();
  CHECK(point.lsn == LSN::from_bytes(copying.server().max_lsn()));
  copying.execute("UPDATE dbo.t SET n = 99");
  CHECK(copying.all("t") == Lines{"1,11,a", "3,33,cc", "4,4,NULL", "6,6,NULL", "7,7,g"});
}

TEST_CASE("a value that an update did not record is the one that was read, or the one before it") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.server().change_traits(
      [](test::sqlserver::ServerTraits& traits) { traits.unchanged_large_values_kept = false; });
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, N'read'), (2, 2, N'old')");
  copying.server().capture();
  copying.open();
  copying.pin();
  copying.execute("UPDATE dbo.t SET n = 10 WHERE id = 1");
  copying.execute("UPDATE dbo.t SET body = N'new' WHERE id = 2");
  copying.execute("UPDATE dbo.t SET n = 20 WHERE id = 2");
  copying.capture_all();
  CHECK(copying.all("t") == Lines{"1,10,read", "2,20,new"});
}

TEST_CASE("a row that was moved with values that only its old place has is left to another point") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.server().change_traits([](test::sqlserver::ServerTraits& traits) {
    traits.unchanged_large_values_kept = false;
    traits.key_updates = test::sqlserver::KeyUpdateShape::kUpdatePair;
  });
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, N'moves'), (2, 2, N'stays')");
  copying.server().capture();
  copying.open();
  const bool seen = GENERATE(false, true);
  if (seen) {
    copying.execute("UPDATE dbo.t SET id = 5 WHERE id = 1");
  }
  copying.pin();
  if (!seen) {
    copying.execute("UPDATE dbo.t SET id = 5 WHERE id = 1");
  }
  copying.capture_all();
  CHECK(copying.all("t") == Lines{"2,2,stays"});
  CHECK(copying.reader->left_out() == std::vector<KeyText>{{"5"}});
  CHECK(!copying.reader->next_cursor());
  const CopyTable table = copying.table("t");
  REQUIRE(copying.reader->begin_rows(table, {{"5"}}));
  CHECK(copying.rows(table).empty());
  CHECK(copying.reader->left_out() == std::vector<KeyText>{{"5"}});

  copying.pin();
  copying.capture_all();
  const CopyTable again = copying.table("t");
  REQUIRE(copying.reader->begin_rows(again, {{"5"}}));
  CHECK(copying.rows(again) == Lines{"5,1,moves"});
  CHECK(copying.reader->left_out().empty());
}

TEST_CASE("a point waits until everything that its view shows is captured") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.open();
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL)");
  copying.pin();
  copying.execute("INSERT INTO dbo.t VALUES (2, 2, NULL)");
  CHECK(!copying.reader->point(copying.clock.now() + 300ms));
  copying.server().capture(1);
  CHECK(!copying.reader->point(copying.clock.now() + 300ms));  // behind the view's own commit
  copying.server().capture(1);
  REQUIRE(copying.reader->point(copying.clock.now() + 20s));  // a commit behind the savepoint
  CHECK(copying.all("t") == Lines{"1,1,NULL", "2,2,NULL"});
}

TEST_CASE("nothing needs to be committed for a point where a scan finds the log read to its end") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL)");
  copying.server().capture();
  copying.server().capture();  // an empty scan from before the view
  copying.open();
  copying.pin();
  CHECK(!copying.reader->point(copying.clock.now() + 300ms));
  copying.server().capture();
  const auto point = copying.reader->point(copying.clock.now() + 20s);
  REQUIRE(point);
  CHECK(point->lsn == LSN::from_bytes(copying.server().max_lsn()));
  CHECK(copying.all("t") == Lines{"1,1,NULL"});
}

// What else is committed and captured in the moments while a point is made, before each of its
// statements.
TEST_CASE("changes between a point's own statements are in its rows") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.execute("INSERT INTO dbo.t VALUES (1, 0, NULL), (2, 0, NULL), (3, 0, NULL)");
  copying.server().capture();
  copying.open();
  int id = 0;
  for (const char* statement :
       {"MAX\\(start_lsn\\)", "BEGIN TRANSACTION", "SAVE TRANSACTION", "savepoint_lsn",
        "dm_cdc_log_scan_sessions", "empty_scan_count >"}) {
    test::sqlserver::Fault fault;
    fault.pattern = statement;
    fault.before = [&copying, change = ++id] {
      copying.execute(fmt::format("INSERT INTO dbo.t VALUES ({}, 0, NULL)", 10 + change));
      copying.execute(fmt::format("DELETE FROM dbo.t WHERE id = {}", change));
      copying.execute("UPDATE dbo.t SET n = n + 1");
      copying.server().capture();
    };
    copying.server().faults().add(fault);
  }
  copying.reader->request_point();
  REQUIRE(copying.reader->point(copying.clock.now() + 20s));
  copying.capture_all();
  CHECK(id == 6);
  // As the stream has them, up to the point.
  const Lines at_point = copying.all("t");
  const std::string point = LSN(copying.reader->point(copying.clock.now())->lsn).to_hex();
  std::vector<std::vector<std::string>> rows;
  Lines expected;
  const auto now = copying.server().execute(fmt::format(
      "SELECT CONVERT(varchar(10), c.id), CONVERT(varchar(10), c.n) FROM cdc.dbo_t_CT c WHERE "
      "c.[__$start_lsn] <= {0} AND c.[__$operation] IN (2, 4) AND NOT EXISTS (SELECT 1 FROM "
      "cdc.dbo_t_CT d WHERE d.id = c.id AND d.[__$start_lsn] <= {0} AND d.[__$start_lsn] > "
      "c.[__$start_lsn])",
      point));
  for (const auto& row : now.back().rows) {
    expected.push_back(row[0] + "," + row[1] + ",NULL");
  }
  std::sort(expected.begin(), expected.end());
  CHECK(at_point == expected);
}

// A commit between the savepoint and the view would be in the view and behind the savepoint.
TEST_CASE("a point's savepoint stands behind everything that its view shows") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.open();
  test::sqlserver::Fault before_view;
  before_view.pattern = "MAX\\(start_lsn\\)";
  before_view.skip = 1;  // the lower bound
  before_view.before = [&copying] {
    copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL)");
    copying.execute("INSERT INTO dbo.t VALUES (2, 2, NULL)");
  };
  copying.server().faults().add(before_view);
  copying.pin();
  copying.server().capture(1);
  CHECK(!copying.reader->point(copying.clock.now() + 200ms));
  copying.server().capture(1);
  CHECK(!copying.reader->point(copying.clock.now() + 200ms));
  copying.capture_all();
  CHECK(copying.all("t") == Lines{"1,1,NULL", "2,2,NULL"});
}

TEST_CASE("consecutive empty scans count, whichever of their times the server shows") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.server().change_traits(
      [](test::sqlserver::ServerTraits& traits) { traits.empty_scans_keep_first_start = true; });
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL)");
  copying.server().capture();
  copying.server().capture();  // the first empty one, from before the view
  copying.open();
  copying.pin();
  copying.server().capture();  // may have begun before the view
  CHECK(!copying.reader->point(copying.clock.now() + 300ms));
  copying.server().capture();
  CHECK(copying.reader->point(copying.clock.now() + 20s));
  CHECK(copying.all("t") == Lines{"1,1,NULL"});
}

TEST_CASE("in an availability group an empty scan is not the log's end, a commit is") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.server().change_traits(
      [](test::sqlserver::ServerTraits& traits) { traits.in_availability_group = true; });
  copying.open();
  copying.pin();
  copying.server().capture();
  copying.server().capture();
  copying.server().capture();
  CHECK(!copying.reader->point(copying.clock.now() + 300ms));
  copying.server().write_idle_row();
  CHECK(copying.reader->point(copying.clock.now() + 20s));
}

TEST_CASE("a point waits until commits that were captured are seen by every new snapshot") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.options.commit_settles = 300ms;
  copying.open();
  copying.reader->request_point();
  CHECK(!copying.reader->point(copying.clock.now()));
  CHECK(copying.server().count_statements("SAVE TRANSACTION") == 0);
  copying.server().capture();
  const TimePoint asked = copying.clock.now();
  CHECK(!copying.reader->point(asked + 400ms));
  CHECK(copying.server().count_statements("SAVE TRANSACTION") == 1);
  copying.capture_all();
}

TEST_CASE("rows changed hundreds of times beside their own chunk are as after the last change") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const QueryMode mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  Copying copying(mode);
  copying.execute("INSERT INTO dbo.t VALUES (1, 0, N'a'), (2, 0, N'b'), (3, 0, N'c')");
  copying.server().capture();
  copying.options.page_rows = 7;
  copying.open();
  copying.pin();
  for (int i = 0; i < 300; ++i) {
    copying.execute(fmt::format("UPDATE dbo.t SET n = {} WHERE id = 2", i));
    copying.execute(i % 2 == 0 ? "DELETE FROM dbo.t WHERE id = 3"
                               : "INSERT INTO dbo.t VALUES (3, 5, N'again')");
  }
  copying.capture_all();
  CHECK(copying.all("t") == Lines{"1,0,a", "2,299,b", "3,5,again"});
}

TEST_CASE("a chunk whose changes are too much for memory is made smaller") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  std::string fill = "INSERT INTO dbo.t VALUES (0, 0, N'')";
  for (int i = 1; i < 400; ++i) {
    fill += fmt::format(", ({}, 0, N'')", i);
  }
  copying.execute(fill);
  copying.server().capture();
  copying.options.gate_bytes_max = 100'000;
  copying.open();
  copying.pin();
  copying.execute("UPDATE dbo.t SET body = N'" + std::string(500, 'x') + "', n = id");
  copying.capture_all();
  std::vector<std::size_t> sizes;
  const Lines rows = copying.in_chunks("t", 400, sizes);
  CHECK(rows.size() == 400);
  CHECK(std::all_of(rows.begin(), rows.end(),
                    [](const std::string& row) { return row.find(",xxx") != std::string::npos; }));
  CHECK(sizes.size() == 16);
}

TEST_CASE("a key that an update spells otherwise is one row") {
  const auto shape = GENERATE(test::sqlserver::KeyUpdateShape::kUpdatePair,
                              test::sqlserver::KeyUpdateShape::kDeleteInsert);
  Copying copying(Capture::kItself);
  if (copying.database.scripted() != nullptr) {
    copying.server().change_traits(
        [&](test::sqlserver::ServerTraits& traits) { traits.key_updates = shape; });
  }
  copying.create("CREATE TABLE dbo.words (w varchar(10) NOT NULL PRIMARY KEY, n int NULL)",
                 "words");
  copying.execute("INSERT INTO dbo.words VALUES ('a', 1), ('b', 2), ('c', 3)");
  copying.capture();
  copying.open();
  copying.execute("UPDATE dbo.words SET w = 'A' WHERE w = 'a'");  // the view has it
  copying.pin();
  copying.execute("UPDATE dbo.words SET w = 'B' WHERE w = 'b'");  // and not this
  copying.capture_all();
  std::vector<std::size_t> sizes;
  CHECK(copying.in_chunks("words", 1, sizes) == Lines{"A,1", "B,2", "c,3"});
}

TEST_CASE("a clean-up that passes the point's lower bound makes the table wait") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL), (2, 2, NULL)");
  copying.server().capture();
  copying.open();
  copying.pin();
  copying.execute("DELETE FROM dbo.t WHERE id = 1");
  copying.capture_all();
  const auto clean_up = [&copying] {
    copying.server().raise_low_water_mark(copying.server().max_lsn());
    copying.server().delete_below_low_water_mark();
  };
  SECTION("before the chunk") {
    clean_up();
  }
  SECTION("while its changes are read") {
    test::sqlserver::Fault fault;
    fault.pattern = "update_mask\\].* FROM \\[cdc\\]";
    fault.before = clean_up;
    copying.server().faults().add(fault);
  }
  CHECK(!copying.reader->begin_chunk(copying.table("t"), {}, 1000));

  copying.pin();
  copying.capture_all();
  CHECK(copying.all("t") == Lines{"2,2,NULL"});
}

TEST_CASE("a table that is altered, locked or dropped beside the view waits") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const int number = GENERATE(3961, 1222, 208);
  Copying copying;
  copying.execute("INSERT INTO dbo.t VALUES (1, 1, NULL)");
  copying.server().capture();
  copying.open();
  copying.pin();
  copying.capture_all();
  const CopyTable table = copying.table("t");
  test::sqlserver::Fault fault;
  fault.pattern = "FROM \\[dbo\\]";
  fault.error = test::sqlserver::SqlError(number, "refused by the test");
  copying.server().faults().add(fault);
  CHECK(!copying.reader->begin_chunk(table, {}, 1000));
  CHECK(copying.all("t") == Lines{"1,1,NULL"});  // and the point is still good
}

TEST_CASE("snapshots that are not allowed are waited for, with the statement that allows them") {
  Copying copying(Capture::kItself);
  copying.execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF");
  copying.open();
  copying.reader->request_point();
  CHECK_FALSE(copying.reader->point(copying.clock.now() + 1s));
  const CopySource::Waiting waiting = copying.reader->waiting();
  CHECK_FALSE(waiting.holds_stream);
  CHECK(waiting.for_person);
  CHECK_THAT(std::string(waiting.reason), Catch::Contains("not allowed"));
  CHECK(waiting.remedy == "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");

  copying.execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");
  CHECK(copying.reader->point(copying.clock.now() + 20s));
  CHECK_THAT(std::string(copying.reader->waiting().reason), !Catch::Contains("not allowed"));
}

TEST_CASE("a table without a key is read where nothing of it changes") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.create("CREATE TABLE dbo.loose (a int NULL, b varchar(10) NULL)", "loose");
  copying.execute("INSERT INTO dbo.loose VALUES (1, 'x'), (1, 'x'), (NULL, NULL)");
  copying.server().capture();
  copying.open();
  copying.pin();
  copying.execute("INSERT INTO dbo.loose VALUES (2, 'y')");
  copying.capture_all();
  CHECK(copying.all("loose") == Lines{"1,x", "1,x", "2,y", "NULL,NULL"});  // seen by nobody before
  CHECK(!copying.reader->next_cursor());

  copying.reader->request_point();
  copying.execute("INSERT INTO dbo.loose VALUES (3, 'z')");
  CHECK(!copying.reader->point(copying.clock.now()));
  copying.capture_all();
  // It may have been committed before the view, or behind it.
  CHECK(!copying.reader->begin_chunk(copying.table("loose"), {}, 1));
  CHECK(copying.reader->refusal().reason ==
        "it has no key, and was changed while the copy point came");

  copying.pin();
  copying.capture_all();
  CHECK(copying.all("loose") == Lines{"1,x", "1,x", "2,y", "3,z", "NULL,NULL"});
}

// Each point's view does not know what was committed just before it; the view of the point before
// knows of these rows, unless they are like others that it does not know of.
TEST_CASE("rows of a table without a key that changed beside a point are told by the one before") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const QueryMode mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  Copying copying(mode);
  copying.create("CREATE TABLE dbo.loose (a int NULL, b varchar(10) NULL)", "loose");
  copying.execute(
      "INSERT INTO dbo.loose VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, 'y'), (NULL, NULL)");
  copying.server().capture();
  copying.open();
  copying.reader->request_point();
  copying.execute("INSERT INTO dbo.loose VALUES (3, 'in doubt')");
  CHECK(!copying.reader->point(copying.clock.now()));
  copying.capture_all();
  CHECK(!copying.reader->begin_chunk(copying.table("loose"), {}, 1));
  copying.execute("INSERT INTO dbo.loose VALUES (4, 'between')");
  copying.execute("DELETE TOP (1) FROM dbo.loose WHERE a = 1");
  copying.server().capture();

  copying.reader->request_point();
  copying.execute("DELETE TOP (1) FROM dbo.loose WHERE a = 1");
  copying.execute("INSERT INTO dbo.loose VALUES (NULL, NULL), (5, 'seen')");
  copying.execute("DELETE FROM dbo.loose WHERE a = 4");
  CHECK(!copying.reader->point(copying.clock.now()));
  copying.execute("INSERT INTO dbo.loose VALUES (5, 'seen'), (3, 'in doubt'), (6, 'late')");
  copying.execute("UPDATE dbo.loose SET b = 'now' WHERE a = 2");
  copying.execute("DELETE TOP (1) FROM dbo.loose WHERE a IS NULL");
  const bool restless = GENERATE(false, true);
  if (restless) {
    // Both views may have it, or not.
    copying.execute("DELETE FROM dbo.loose WHERE a = 3");
  }
  copying.capture_all();
  CHECK(copying.all("loose") ==
        (restless ? Lines{"1,x", "2,now", "5,seen", "5,seen", "6,late", "NULL,NULL"}
                  : Lines{"1,x", "2,now", "3,in doubt", "3,in doubt", "5,seen", "5,seen", "6,late",
                          "NULL,NULL"}));
}

TEST_CASE("rows without a key that repeat and never rest are told by no point, and that is said") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.create("CREATE TABLE dbo.loose (a int NULL, body nvarchar(max) NULL)", "loose");
  copying.execute("INSERT INTO dbo.loose VALUES (1, N'x'), (2, N'long')");
  copying.server().capture();
  copying.open();
  for (int i = 0; i < 3; ++i) {
    copying.reader->request_point();
    copying.execute("INSERT INTO dbo.loose VALUES (1, N'x')");
    CHECK(!copying.reader->point(copying.clock.now()));
    copying.capture_all();
    CHECK(!copying.reader->begin_chunk(copying.table("loose"), {}, 1));
    CHECK(copying.reader->refusal().reason ==
          (i == 0 ? "it has no key, and was changed while the copy point came"
                  : "it has no key, and rows of it that are like others change all the time"));
  }
  copying.pin();
  copying.execute("UPDATE dbo.loose SET a = 3 WHERE a = 2");
  copying.capture_all();
  CHECK(!copying.reader->begin_chunk(copying.table("loose"), {}, 1));
  CHECK(copying.reader->refusal().reason ==
        "it has no key, and its changes do not say all values of their rows");
}

// As "chunks under random changes", without keys: few values, so that rows are like others often.
TEST_CASE("a table without a key under random changes is as it was at the point, or not told") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const std::uint64_t seed = test::random_seed("sqlserver_copy_loose");
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto any = [&](int below) {
    return std::uniform_int_distribution<int>(0, below - 1)(random);
  };
  Copying copying;
  copying.options.lock_tables = GENERATE(false, true);
  copying.create("CREATE TABLE dbo.loose (a int NULL, n int NULL)", "loose");
  int values = 0;
  const auto change = [&] {
    const int a = any(5);
    switch (any(4)) {
      case 0:
        copying.execute(fmt::format("DELETE TOP (1) FROM dbo.loose WHERE a = {}", a));
        break;
      case 1:
        copying.execute(
            fmt::format("UPDATE dbo.loose SET a = {}, n = {} WHERE a = {} AND n % 3 = {}", any(5),
                        any(4), a, any(3)));
        break;
      default:
        copying.execute(fmt::format("INSERT INTO dbo.loose VALUES ({}, {}), ({}, {})", a, any(4), a,
                                    10 + ++values));
    }
  };
  for (int i = 0; i < 60; ++i) {
    change();
  }
  copying.server().capture();
  copying.open();
  int told = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = any(4); i > 0; --i) {
      change();
      copying.server().capture(static_cast<std::size_t>(any(2)));
    }
    copying.reader->request_point();
    for (int i = any(3); i > 0; --i) {
      change();  // in doubt
    }
    CHECK(!copying.reader->point(copying.clock.now()));
    for (int i = any(4); i > 0; --i) {
      change();
    }
    copying.capture_all();
    Lines expected;
    const auto now = copying.server().execute(
        "SELECT CONVERT(varchar(10), a), CONVERT(varchar(10), n) FROM dbo.loose");
    for (const auto& row : now.back().rows) {
      expected.push_back(row[0] + "," + row[1]);
    }
    std::sort(expected.begin(), expected.end());
    for (int i = any(3); i > 0; --i) {
      change();  // behind the point
    }
    const CopyTable table = copying.table("loose");
    if (copying.reader->begin_chunk(table, {}, 1)) {
      CHECK(copying.rows(table, 4096) == expected);
      ++told;
    }
  }
  CHECK(told >= (copying.options.lock_tables ? 40 : 8));
  CHECK(told <= (copying.options.lock_tables ? 40 : 39));
}

// Nobody writes to the table while the view begins, so that the view has all that was committed
// before its savepoint.
TEST_CASE("with locks, writers stand while a point's view begins, and the rows are exact at once") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.options.lock_tables = true;
  copying.options.commit_settles = 1h;  // not waited for
  copying.create("CREATE TABLE dbo.loose (a int NULL, b varchar(10) NULL)", "loose");
  copying.execute("INSERT INTO dbo.loose VALUES (1, 'x')");
  copying.server().capture();
  copying.open();
  std::vector<int> refused;
  const auto try_to_write = [&] {
    try {
      copying.execute("SET LOCK_TIMEOUT 5; INSERT INTO dbo.loose VALUES (1, 'x')");
      refused.push_back(0);
    } catch (const test::sqlserver::SqlError& error) {
      refused.push_back(error.number());
    }
  };
  for (const char* statement :
       {"MAX\\(start_lsn\\)", "BEGIN TRANSACTION", "SAVE TRANSACTION", "savepoint_lsn"}) {
    test::sqlserver::Fault fault;
    fault.pattern = statement;
    fault.skip = statement == std::string("MAX\\(start_lsn\\)") ? 1 : 0;  // the view's
    fault.before = try_to_write;
    if (statement == std::string("BEGIN TRANSACTION")) {
      fault.skip = 1;  // behind that of the locks
    }
    copying.server().faults().add(fault);
  }
  copying.reader->want(nullptr);
  copying.pin();
  CHECK(refused == std::vector<int>{1222, 1222, 1222, 0});
  copying.execute("INSERT INTO dbo.loose VALUES (1, 'x')");
  copying.capture_all();
  CHECK(copying.all("loose") == Lines{"1,x", "1,x", "1,x"});
  CHECK(copying.all("t").empty());
}

TEST_CASE("a table that is not locked in time is told, and holds no other table up") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.options.lock_tables = true;
  copying.options.table_lock_timeout = 50ms;
  copying.create("CREATE TABLE dbo.free (id int NOT NULL PRIMARY KEY)", "free");
  copying.execute("INSERT INTO dbo.free VALUES (1); INSERT INTO dbo.t VALUES (1, 1, NULL)");
  copying.server().capture();
  copying.open();
  odbc::Connection writer(session_options(copying.options));
  writer.execute("BEGIN TRANSACTION; UPDATE dbo.t SET n = 2", "write");
  // One that stands behind our request goes on when that is given up.
  std::thread other;
  test::sqlserver::Fault fault;
  fault.pattern = "FROM \\[dbo\\]\\.\\[t\\] WITH";
  fault.before = [&] {
    other = std::thread([&] { copying.execute("INSERT INTO dbo.t VALUES (2, 2, NULL)"); });
  };
  copying.server().faults().add(fault);
  const std::vector<std::uint32_t> wanted{copying.table("t").schema->source_id,
                                          copying.table("free").schema->source_id};
  copying.reader->want(&wanted);
  copying.pin();
  other.join();
  copying.capture_all();
  CHECK(!copying.reader->begin_chunk(copying.table("t"), {}, 1000));
  CHECK(copying.reader->refusal().reason ==
        "it was not locked within snapshot.lock_timeout, 1 times: transactions that write to it "
        "last longer");
  CHECK(copying.all("free") == Lines{"1"});

  // Not tried at once again, and locked when it can be.
  copying.server().forget_statements();
  copying.pin();
  CHECK(copying.server().count_statements("[t] WITH") == 0);
  copying.capture_all();
  writer.execute("COMMIT", "write");
  bool begun = false;
  const TimePoint patience = copying.clock.now() + 20s;
  while (!begun && copying.clock.now() < patience) {
    copying.pin();
    copying.capture_all();
    begun = copying.reader->begin_chunk(copying.table("t"), {}, 1000);
  }
  REQUIRE(begun);
  CHECK(copying.rows(copying.table("t")) == Lines{"1,2,NULL", "2,2,NULL"});
}

TEST_CASE("with locks, only the tables that are wanted are locked, and few at a time") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.options.lock_tables = true;
  for (int i = 0; i < 12; ++i) {
    copying.create(fmt::format("CREATE TABLE dbo.m{} (id int NOT NULL PRIMARY KEY)", i),
                   fmt::format("m{}", i));
  }
  copying.server().capture();
  copying.open();
  std::vector<std::uint32_t> wanted;
  for (const CopyTable& table : copying.reader->tables(nullptr)) {
    if (table.schema->name.table != "t") {
      wanted.push_back(table.schema->source_id);
    }
  }
  std::rotate(wanted.begin(), wanted.begin() + 3, wanted.end());
  copying.reader->want(&wanted);
  copying.pin();
  CHECK(copying.server().count_statements("WITH (TABLOCK, HOLDLOCK)") == 10);
  CHECK(copying.server().count_statements("[t] WITH (TABLOCK, HOLDLOCK)") == 0);
  copying.capture_all();
  std::size_t shown = 0;
  for (const CopyTable& table : copying.reader->tables(nullptr)) {
    if (copying.reader->begin_chunk(table, {}, 10)) {
      CHECK(copying.rows(table).empty());
      CHECK((table.schema->source_id != wanted[10] && table.schema->source_id != wanted[11]));
      ++shown;
    } else {
      CHECK(copying.reader->refusal().reason.empty());
    }
  }
  CHECK(shown == 10);
}

TEST_CASE("a table that was enabled behind the view is read at a later point") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying;
  copying.execute("CREATE TABLE dbo.young (id int NOT NULL PRIMARY KEY)");
  copying.execute("INSERT INTO dbo.young VALUES (1), (2)");
  copying.open();
  copying.pin();
  copying.execute("DELETE FROM dbo.young WHERE id = 1");  // nobody captures that
  copying.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'young', @role_name = "
      "NULL");
  copying.capture_all();
  CHECK(!copying.reader->begin_chunk(copying.table("young"), {}, 1000));

  copying.pin();
  copying.capture_all();
  CHECK(copying.all("young") == Lines{"2"});
}

// Each type as the second part of a key, with values that its text, its bytes or its order may
// betray; chunks of two rows, so that a cursor is taken from nearly every row.
TEST_CASE("chunks of any key are the whole table, each row once") {
  struct Key {
    const char* type;
    std::vector<std::string> values;
  };
  const std::vector<Key> keys{
      {"bigint", {"-9223372036854775808", "-1", "0", "9223372036854775807"}},
      {"bit", {"0", "1"}},
      {"decimal(20,3)", {"-0.001", "0", "0.5", "12345678901234567.891"}},
      {"money", {"-0.5", "0.0001", "922337203685477.5807"}},
      {"varchar(20)", {"''", "'a'", "'B'", "'it''s'", "'\xC3\xA9'", "'z '"}},
      {"nvarchar(20)", {"N''", "N'a'", "N'B'", "N'\xE6\x97\xA5'", "N'z'"}},
      {"varchar(20) COLLATE Latin1_General_BIN2", {"'a'", "'A'", "'_'", "'Z'", "'b'"}},
      {"nvarchar(20) COLLATE Latin1_General_CS_AS", {"N'a'", "N'A'", "N'_'", "N'Z'", "N'b'"}},
      {"nvarchar(20) COLLATE Latin1_General_CI_AI", {"N'a'", "N'\u00e9'", "N'F'", "N'Z'"}},
      {"char(5)", {"'a'", "'ab'", "'b'"}},
      {"uniqueidentifier",
       {"'00000000-0000-0000-0000-010000000000'", "'FF000000-0000-0000-0000-000000000000'",
        "'00000000-0000-0000-0001-000000000000'", "'00000000-FF00-0000-0000-000000000001'"}},
      {"datetime", {"'2024-02-29T23:59:59.997'", "'2024-03-01T00:00:00.003'", "'1753-01-01'"}},
      {"datetime2(7)", {"'2024-02-29 23:59:59.9999999'", "'0001-01-01'", "'9999-12-31'"}},
      {"date", {"'0001-01-01'", "'2024-02-03'", "'2024-03-02'"}},
      {"varbinary(4)", {"0x", "0x00", "0x0001", "0xFF", "0x5C78"}},
      {"float", {"-1.5", "0.1", "1e300"}},
  };
  Copying copying(Capture::kItself);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string name = fmt::format("k{}", i);
    copying.create(fmt::format("CREATE TABLE dbo.{} (k {} NOT NULL, a int NOT NULL, v int NULL, "
                               "PRIMARY KEY (a, k))",
                               name, keys[i].type),
                   name);
    for (int a = 0; a < 2; ++a) {
      for (std::size_t v = 0; v < keys[i].values.size(); ++v) {
        copying.execute(
            fmt::format("INSERT INTO dbo.{} VALUES ({}, {}, {})", name, keys[i].values[v], a, v));
      }
    }
  }
  copying.capture();
  copying.open();
  copying.pin();
  copying.capture_all();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    INFO(keys[i].type);
    const std::string name = fmt::format("k{}", i);
    const Lines whole = copying.all(name);
    CHECK(whole.size() == 2 * keys[i].values.size());
    std::vector<std::size_t> sizes;
    CHECK(copying.in_chunks(name, 2, sizes) == whole);
    const bool whole_at_once = std::string(keys[i].type) == "float";
    CHECK(sizes.size() == (whole_at_once ? 1 : keys[i].values.size() + 1));

    // Rows by their keys, one of which is not there.
    const CopyTable table = copying.table(name);
    std::vector<KeyText> wanted;
    for (const std::string& line : whole) {
      const std::size_t first = line.rfind(',');
      const std::size_t second = line.rfind(',', first - 1);
      wanted.push_back({line.substr(second + 1, first - second - 1), line.substr(0, second)});
    }
    wanted.erase(wanted.begin() + 1, wanted.end() - 1);
    wanted.push_back({"77", wanted.front()[1]});
    REQUIRE(copying.reader->begin_rows(table, wanted));
    CHECK(copying.rows(table) == Lines{whole.front(), whole.back()});
  }
}

// The change table's text has the database's collation, whatever the key's is.
TEST_CASE("a key's own collation says which chunk a row is in, and which of its changes") {
  struct Key {
    const char* type;
    bool cases_differ;
  };
  const Key key = GENERATE(Key{"nvarchar(20)", false}, Key{"varchar(20)", false},
                           Key{"nvarchar(20) COLLATE Latin1_General_CS_AS", true},
                           Key{"nvarchar(20) COLLATE Latin1_General_CI_AI", false},
                           Key{"nvarchar(20) COLLATE Latin1_General_BIN2", true},
                           Key{"varchar(20) COLLATE Latin1_General_BIN2", true},
                           Key{"varchar(20) COLLATE Latin1_General_100_CI_AS_SC_UTF8", false});
  const QueryMode mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  const std::size_t rows_max = GENERATE(std::size_t{1}, std::size_t{3});
  INFO(key.type);
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Copying copying(mode);
  copying.server().change_traits([](test::sqlserver::ServerTraits& traits) {
    traits.key_updates = GENERATE(test::sqlserver::KeyUpdateShape::kUpdatePair,
                                  test::sqlserver::KeyUpdateShape::kDeleteInsert);
  });
  copying.create(
      fmt::format("CREATE TABLE dbo.words (w {} NOT NULL PRIMARY KEY, n int NOT NULL)", key.type),
      "words");
  const auto insert = [&](const std::string& word, int n) {
    copying.execute(fmt::format("INSERT INTO dbo.words VALUES (N'{}', {})", word, n));
  };
  for (const char* word :
       {"apple", "Banana", "cherry", "Date", "\u00e9clair", "f_g", "Fig", "Zebra", "zoo", "_x"}) {
    insert(word, 1);
  }
  if (key.cases_differ) {
    insert("Apple", 2);
    insert("banana", 2);
  }
  copying.server().capture();
  copying.open();
  copying.execute("UPDATE dbo.words SET w = N'Cherry' WHERE w = N'cherry'");  // the view has it
  copying.pin();
  copying.execute("UPDATE dbo.words SET n = n + 10 WHERE n = 1 AND w > N'Date'");
  copying.execute("UPDATE dbo.words SET w = N'APPLE' WHERE w = N'apple'");
  copying.execute("DELETE FROM dbo.words WHERE w = N'BANANA' OR w = N'zoo'");
  insert("ZOO", 3);
  copying.execute("DELETE FROM dbo.words WHERE w = N'Fig'");
  insert("fig", 3);
  copying.capture_all();
  Lines expected;
  const auto now =
      copying.server().execute("SELECT w, CONVERT(varchar(10), n) FROM dbo.words").back();
  for (const auto& row : now.rows) {
    expected.push_back(row[0] + "," + row[1]);
  }
  std::sort(expected.begin(), expected.end());
  CHECK(expected.size() == (key.cases_differ ? 12U : 9U));
  copying.execute("UPDATE dbo.words SET n = 99");  // behind the point
  std::vector<std::size_t> sizes;
  CHECK(copying.in_chunks("words", rows_max, sizes) == expected);
  CHECK(sizes.size() > 3);
}

// One transaction after the other, some before the view, some behind it, and points that come when
// they come: the rows of a point's chunks are the table as it was at the point.
TEST_CASE("chunks under random changes are the table at the point") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const std::uint64_t seed = test::random_seed("sqlserver_copy");
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const auto any = [&](int below) {
    return std::uniform_int_distribution<int>(0, below - 1)(random);
  };
  Copying copying;
  copying.server().change_traits([&](test::sqlserver::ServerTraits& traits) {
    traits.key_updates = any(2) == 0 ? test::sqlserver::KeyUpdateShape::kUpdatePair
                                     : test::sqlserver::KeyUpdateShape::kDeleteInsert;
    traits.unchanged_large_values_kept = any(2) == 0;
  });
  int moves = 0;
  const auto change = [&] {
    const int id = any(40);
    switch (any(5)) {
      case 0:
        copying.execute(fmt::format("DELETE FROM dbo.t WHERE id = {}", id));
        break;
      case 1:
        copying.execute(
            fmt::format("UPDATE dbo.t SET n = n + 1 WHERE id BETWEEN {} AND {}", id, id + 3));
        break;
      case 2:  // another text each time, so that it is recorded
        copying.execute(
            fmt::format("IF NOT EXISTS (SELECT 1 FROM dbo.t WHERE id = {0}) UPDATE dbo.t SET id = "
                        "{0}, body = N'moved {2}' WHERE id = {1}",
                        any(40), id, ++moves));
        break;
      case 3:
        copying.execute(fmt::format("UPDATE dbo.t SET body = N'{}' WHERE id = {}", any(1000), id));
        break;
      default:
        copying.execute(
            fmt::format("IF NOT EXISTS (SELECT 1 FROM dbo.t WHERE id = {0}) INSERT INTO dbo.t "
                        "VALUES ({0}, 0, N'in')",
                        id));
    }
  };
  for (int i = 0; i < 60; ++i) {
    change();
  }
  copying.server().capture();
  copying.open();
  int read = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = any(10); i > 0; --i) {
      change();
    }
    copying.pin();
    for (int i = any(20); i > 0; --i) {
      change();
    }
    copying.capture_all();
    Lines expected;
    const auto now = copying.server().execute(
        "SELECT CONVERT(varchar(10), id), CONVERT(varchar(10), n), body FROM dbo.t");
    for (const auto& row : now.back().rows) {
      expected.push_back(row[0] + "," + row[1] + "," + row[2]);
    }
    std::sort(expected.begin(), expected.end());
    for (int i = any(5); i > 0; --i) {
      change();  // behind the point
    }
    std::vector<std::size_t> sizes;
    CHECK(copying.in_chunks("t", static_cast<std::size_t>(1 + any(7)), sizes) == expected);
    ++read;
  }
  CHECK(read == 12);
}

// An application that never waits; what it did up to the point the change table tells.
TEST_CASE("chunks beside an application are the table at their point, whoever captures") {
  const std::uint64_t seed = test::random_seed("sqlserver_copy_beside");
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  Copying copying(Capture::kItself, GENERATE(QueryMode::kDirect, QueryMode::kFunctions));
  copying.open();
  std::atomic<int> written = 0;
  std::jthread application([&,
                            mine = std::mt19937_64(seed + 1)](const std::stop_token& stop) mutable {
    test::SqlServerSession session(copying.database.connection_string());
    for (; !stop.stop_requested(); ++written) {
      const auto id = mine() % 60;
      const auto kind = mine() % 4;
      session.execute(
          kind == 0 ? fmt::format("DELETE FROM dbo.t WHERE id = {}", id)
          : kind == 1
              ? fmt::format("UPDATE dbo.t SET n = n + 1 WHERE id BETWEEN {} AND {}", id, id + 9)
              : fmt::format("IF NOT EXISTS (SELECT 1 FROM dbo.t WHERE id = {0}) INSERT INTO dbo.t "
                            "VALUES ({0}, 0, NULL)",
                            id));
    }
  });
  for (int round = 0; round < 4; ++round) {
    const int before = written;
    test::wait_until("the application to write", 60s, [&] { return written > before + 50; });
    copying.reader->request_point();
    const auto point = copying.reader->point(copying.clock.now() + 90s);
    REQUIRE(point.has_value());
    std::vector<std::size_t> sizes;
    const Lines rows = copying.in_chunks("t", 1 + random() % 7, sizes);
    CHECK(sizes.size() > 1);
    std::map<std::string, std::string> expected;
    for (const auto& change : copying.database.query(
             "SELECT CONVERT(int, [__$operation]), id, n FROM cdc.dbo_t_CT WHERE [__$start_lsn] "
             "<= " +
             point->lsn.to_hex() + " ORDER BY [__$start_lsn], [__$seqval], [__$operation]")) {
      if (change[0] == "1") {
        expected.erase(change[1]);
      } else {
        expected[change[1]] = change[1] + "," + change[2] + ",NULL";
      }
    }
    Lines wanted;
    for (const auto& [id, row] : expected) {
      wanted.push_back(row);
    }
    std::sort(wanted.begin(), wanted.end());
    CHECK(rows == wanted);
  }
}

TEST_CASE("the LSN that management views show as a number is the change tables' one") {
  CHECK(lsn_of_decimal("39000000188800003").to_string() == "00000027:00000760:0003");
  CHECK(lsn_of_decimal("4294967295429496729565535").to_string() == "ffffffff:ffffffff:ffff");
  CHECK(lsn_of_decimal("7").to_string() == "00000000:00000000:0007");
  CHECK_THROWS_AS(lsn_of_decimal("39.5"), Error);
  CHECK_THROWS_AS(lsn_of_decimal(""), Error);
}

}  // namespace
}  // namespace headgate::source::sqlserver
