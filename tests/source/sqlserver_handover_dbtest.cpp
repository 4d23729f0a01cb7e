// Tables whose capture instances come and go while the source is read: nothing may be lost,
// repeated or overwritten on the way from one to the next, and what nobody captured must be said.
// The server is the double, through FreeTDS's real driver, or the one that HEADGATE_TEST_SQLSERVER
// names.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "core/value_text.hpp"
#include "source/sqlserver/sqlserver_source.hpp"
#include "source/sqlserver/succession.hpp"
#include "support/sqlserver_database.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::source::sqlserver {
namespace {

using namespace std::chrono_literals;
using test::SqlServerDouble;
using Lines = std::vector<std::string>;

std::string shown(const TableSchema& table, Row row) {
  std::string text;
  for (std::size_t i = 0; i < row.size(); ++i) {
    text += i == 0 ? "" : ",";
    text += table.columns[i].name + "=";
    text += row[i].is_null()        ? "NULL"
            : row[i].is_unchanged() ? "SAME"
                                    : value_text(table.columns[i], row[i]);
  }
  return text;
}

std::string shown(const Change& change) {
  return std::string(to_string(change.operation)) + " " + change.table->name.table + " " +
         shown(*change.table, change.data);
}

constexpr const char* kDoubleDoes = "captures and misbehaves when it is told to";

// Who makes the capture process read.
enum class Capture {
  kItself,  // it reads on its own
  kByHand,  // the test, which only the double can do
};

// A captured table dbo.t (id, v), a second one dbo.other beside it, a source that reads them, and
// what a sink that applied all of it would remember.
class Followed {
 public:
  explicit Followed(Capture who = Capture::kItself, test::SqlServerOptions options_of_server = {})
      : database(std::move(options_of_server)), by_hand_(who == Capture::kByHand) {
    if (by_hand_) {
      server().set_capture(test::CaptureMode::kManual);
    }
    execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v int NULL)");
    execute("CREATE TABLE dbo.other (id int NOT NULL PRIMARY KEY)");
    enable("t1");
    execute("EXEC sys.sp_cdc_enable_table N'dbo', N'other', @role_name = NULL");
    capture();
    options.connection_string = database.connection_string();
    options.tables = {"dbo.*"};
    options.spill_folder = "/tmp";
    options.idle_advance_interval = 0s;
    options.poll_interval = 1ms;
  }

  void enable(const std::string& instance) {
    execute(
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', "
        "@capture_instance = N'" +
        instance + "', @role_name = NULL");
  }
  void disable(const std::string& instance) {
    execute(
        "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N't', "
        "@capture_instance = N'" +
        instance + "'");
  }
  void insert(int id) {
    execute("INSERT INTO dbo.t (id, v) VALUES (" + std::to_string(id) + ", " + std::to_string(id) +
            ")");
  }
  // All that was done so far can be read.
  void capture() {
    if (by_hand_) {
      server().capture();
      server().write_idle_row();
    } else {
      database.wait_captured();
    }
  }
  // On the double also from a fault's own thread.
  void execute(const std::string& sql) {
    if (by_hand_) {
      server().execute(sql);
    } else {
      database.execute(sql);
    }
  }
  // What clean-up does to an instance, as far as to that LSN.
  void cleanup(const LSN& lsn, const std::string& instance) {
    execute("EXEC sys.sp_cdc_cleanup_change_table @capture_instance = N'" + instance +
            "', @low_water_mark = " + lsn.to_hex());
  }
  LSN captured() { return source->current_end(); }
  // REQUIRES: Capture::kByHand, or a test that needs the double.
  SqlServerDouble& server() { return *database.scripted(); }

  // As a daemon does, again where a capture process of its own has come in between.
  void start() {
    const TimePoint give_up = clock.now() + 20s;
    while (true) {
      try {
        begin();
        return;
      } catch (const Error& error) {
        if (by_hand_ || error.kind() != ErrorKind::kTransient || clock.now() > give_up) {
          throw;
        }
      }
    }
  }
  void begin() {
    make_source();
    source->prepare({});
    source->snapshot().open({{}, true});
    const CaptureResult copy = source->snapshot().fetch({}, clock.now());
    REQUIRE(copy.transactions.size() == 1);
    position = copy.transactions[0]->end_position;
    for (const TableSchemaPtr& table : copy.transactions[0]->involved_tables()) {
      remember(*table);
    }
    source->cdc().open({position, false});
  }
  // As another process would: of what was before, only the sink's memory is left.
  void restart() {
    make_source();
    reopen();
  }
  void reopen() {
    source->prepare({{"sink", position, known}});
    source->cdc().open({position, false});
  }
  void make_source() {
    source.reset();
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log_text);
    source = std::make_unique<SqlServerSource>(options, clock,
                                               std::make_shared<spdlog::logger>("test", sink));
  }
  std::string log() const { return log_text.str(); }

  void remember(const TableSchema& table) {
    std::erase_if(known, [&](const TableRecord& record) {
      return record.source.source_id == table.source_id;
    });
    known.push_back({table, table.name});
  }

  // Everything that is captured by now, one line per change; `schemas` gets each new description.
  Lines read() {
    Lines lines;
    const LSN end = source->current_end();
    const TimePoint give_up = clock.now() + 20s;
    while (position.lsn < end && clock.now() < give_up) {
      for (const TransactionPtr& transaction :
           source->cdc().fetch({}, clock.now() + 50ms).transactions) {
        for (const Change& change : transaction->changes()) {
          lines.push_back(shown(change));
        }
        for (const TableSchemaPtr& table : transaction->involved_tables()) {
          remember(*table);
          if (table->name.table == "t" && (schemas.empty() || schemas.back() != table)) {
            schemas.push_back(table);
          }
        }
        if (ends(transaction->portion)) {
          position = transaction->end_position;
        }
      }
    }
    REQUIRE(position.lsn >= end);
    return lines;
  }

  // What the attempt to read ends with; kFenced when it works.
  ErrorKind failure(const std::function<void()>& attempt) {
    try {
      attempt();
    } catch (const Error& error) {
      message = error.describe();
      return error.kind();
    }
    message.clear();
    return ErrorKind::kFenced;
  }

  const Column& column(const std::string& name) const {
    const auto& columns = schemas.back()->columns;
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& candidate) {
      return candidate.name == name;
    });
    REQUIRE(found != columns.end());
    return *found;
  }

  test::SqlServerDatabase database;
  SystemClock clock;
  Options options;
  std::ostringstream log_text;
  std::unique_ptr<SqlServerSource> source;
  Position position;
  TableRecords known;
  std::vector<TableSchemaPtr> schemas;
  std::string message;

 private:
  const bool by_hand_;
};

Lines ids(int from, int to) {
  Lines lines;
  for (int id = from; id <= to; ++id) {
    const std::string number = std::to_string(id);
    lines.push_back("INSERT t id=" + number + ",v=" + number);
  }
  return lines;
}

Lines operator+(Lines a, const Lines& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// ---- hand-over

constexpr const char* kHandedOver = "capture instance handed over table=dbo.t from=t1 to=t2";

TEST_CASE("a second instance takes over at its start: every change once, in order") {
  Followed t;
  t.options.query_mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  t.start();
  t.insert(1);
  const bool read_before = GENERATE(false, true);
  if (read_before) {
    t.capture();
    CHECK(t.read() == ids(1, 1));
  }
  t.enable("t2");
  t.insert(2);
  t.capture();
  CHECK(t.read() == ids(read_before ? 2 : 1, 2));
  t.insert(3);
  t.capture();
  CHECK(t.read() == ids(3, 3));
  CHECK(t.log().find(kHandedOver) != std::string::npos);
}

TEST_CASE("a second instance takes over at its start, captured piece by piece") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.query_mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  t.start();
  t.insert(1);
  t.enable("t2");
  t.insert(2);
  t.server().capture(1);
  CHECK(t.read() == ids(1, 1));
  t.server().capture(1);
  CHECK(t.read().empty());
  t.capture();
  CHECK(t.read() == ids(2, 2));
  t.insert(3);
  t.capture();
  CHECK(t.read() == ids(3, 3));
  CHECK(t.log().find(kHandedOver) != std::string::npos);
}

TEST_CASE("two instances are both there at the first start: the newer one is read") {
  Followed t;
  t.execute("ALTER TABLE dbo.t ADD w int NULL");
  t.enable("t2");
  SECTION("when it is captured already") {
    t.capture();
    t.start();
  }
  SECTION("when it begins behind the position") {
    t.start();
    t.capture();
  }
  t.execute("INSERT INTO dbo.t VALUES (1, 1, 1)");
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=1,v=1,w=1"});
}

TEST_CASE("the older instance may go once the newer one is read, and a third may follow") {
  Followed t;
  t.start();
  t.insert(1);
  t.enable("t2");
  t.insert(2);
  t.capture();
  CHECK(t.read() == ids(1, 2));
  const bool restarts = GENERATE(false, true);
  t.disable("t1");
  if (restarts) {
    t.restart();
  }
  t.insert(3);
  t.enable("t3");
  t.insert(4);
  t.capture();
  CHECK(t.read() == ids(3, 4));
  t.disable("t2");
  t.insert(5);
  t.capture();
  if (restarts) {
    t.restart();
  }
  CHECK(t.read() == ids(5, 5));
}

TEST_CASE("an instance that is dropped costs nothing where the newer one has what follows") {
  Followed t;
  t.start();
  t.insert(1);
  t.enable("t2");
  t.capture();
  SECTION("with no change of the table seen from the newer one, so that no sink knows it") {
    CHECK(t.read() == ids(1, 1));
    t.disable("t1");
    t.insert(2);
    t.capture();
    const bool restarts = GENERATE(false, true);
    if (restarts) {
      t.restart();
    }
    CHECK(t.read() == ids(2, 2));
  }
  SECTION("too early, with changes before the newer one's start") {
    t.disable("t1");
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kPositionLost);
    CAPTURE(t.message);
    CHECK(t.message.find("dbo.t") != std::string::npos);
    CHECK(t.failure([&] { t.restart(); }) == ErrorKind::kPositionLost);
  }
}

TEST_CASE("an instance made anew, with or without another name, is a gap") {
  Followed t;
  t.start();
  t.insert(1);
  t.capture();
  CHECK(t.read() == ids(1, 1));
  t.disable("t1");
  t.insert(2);
  t.enable(GENERATE("t1", "t2"));
  t.insert(3);
  t.capture();
  const bool restarts = GENERATE(false, true);
  CHECK(t.failure([&] {
    if (restarts) {
      t.restart();
    }
    t.read();
  }) == ErrorKind::kPositionLost);
}

TEST_CASE("clean-up on one instance or both: lost is only what no instance has") {
  Followed t;
  t.start();
  t.insert(1);
  t.enable("t2");
  t.insert(2);
  t.capture();
  CHECK(t.read() == ids(1, 2));
  const LSN passed = t.position.lsn;
  t.insert(3);
  t.capture();
  SECTION("what was read is cleaned up") {
    t.cleanup(passed, "t1");
    t.cleanup(passed, "t2");
    t.restart();
    CHECK(t.read() == ids(3, 3));
  }
  SECTION("of the older one, more than that") {
    t.cleanup(t.captured(), "t1");
    t.restart();
    CHECK(t.read() == ids(3, 3));
  }
  SECTION("of the newer one, more than that: the older one has the same columns") {
    t.cleanup(t.captured(), "t2");
    t.restart();
    CHECK(t.read() == ids(3, 3));
  }
  SECTION("of both") {
    t.cleanup(t.captured(), "t1");
    t.cleanup(t.captured(), "t2");
    CHECK(t.failure([&] { t.restart(); }) == ErrorKind::kPositionLost);
  }
}

TEST_CASE("nobody goes back to an older instance that lacks a column") {
  Followed t;
  t.start();
  t.execute("ALTER TABLE dbo.t ADD w int NULL");
  t.enable("t2");
  t.execute("INSERT INTO dbo.t VALUES (1, 1, 1)");
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=1,v=1,w=1"});
  t.execute("INSERT INTO dbo.t VALUES (2, 2, 2)");
  t.disable("t2");
  t.capture();
  const bool restarts = GENERATE(false, true);
  CHECK(t.failure([&] {
    if (restarts) {
      t.restart();
    }
    t.read();
  }) == ErrorKind::kPositionLost);
}

// Two sinks: the one ahead was read from the newer instance already, the other needs the older.
TEST_CASE("a sink that is behind is read from the older instance, whatever the others hold") {
  Followed t;
  t.start();
  const Position behind = t.position;
  const TableRecords known_behind = t.known;
  t.insert(1);
  t.execute("ALTER TABLE dbo.t ADD w int NULL");
  t.enable("t2");
  t.insert(2);
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=1,v=1", "INSERT t id=2,v=2,w=NULL"});
  t.make_source();
  std::vector<SinkStand> stands = {{"ahead", t.position, t.known},
                                   {"behind", behind, known_behind}};
  if (GENERATE(false, true)) {
    std::swap(stands[0], stands[1]);
  }
  t.source->prepare(stands);
  t.position = behind;
  t.source->cdc().open({behind, false});
  CHECK(t.read() == Lines{"INSERT t id=1,v=1", "INSERT t id=2,v=2,w=NULL"});
}

TEST_CASE(
    "a table that is enabled behind the position is read from its start, and watched from there") {
  Followed t;
  t.start();
  t.execute("CREATE TABLE dbo.young (id int NOT NULL PRIMARY KEY)");
  t.execute("EXEC sys.sp_cdc_enable_table N'dbo', N'young', @role_name = NULL");
  t.execute("INSERT INTO dbo.young VALUES (1)");
  t.capture();
  const bool cleaned = GENERATE(false, true);
  if (cleaned) {
    // Met, but nothing of it handed over yet: what goes now is missed.
    t.source->cdc().open({t.position, false});
    t.cleanup(t.captured(), "dbo_young");
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kPositionLost);
  } else {
    CHECK(t.read() == Lines{"INSERT young id=1"});
  }
}

TEST_CASE("a sink that joined after a clean-up does not hide what an older one has lost by it") {
  Followed t;
  t.start();
  const Position behind = t.position;
  const TableRecords known_behind = t.known;
  t.insert(1);
  t.capture();
  t.cleanup(t.captured(), "t1");
  t.cleanup(t.captured(), "dbo_other");
  t.start();
  std::vector<SinkStand> stands = {{"behind", behind, known_behind},
                                   {"joined", t.position, t.known}};
  if (GENERATE(false, true)) {
    std::swap(stands[0], stands[1]);
  }
  CHECK(t.failure([&] {
    t.make_source();
    t.source->prepare(stands);
    t.source->cdc().open({behind, false});
  }) == ErrorKind::kPositionLost);
}

// Whenever a process ends, the next one goes on from a sink's position alone: a random mix of
// changes, instances made and dropped as the procedure says, capture lag and restarts.
TEST_CASE("over any number of hand-overs and restarts every change arrives once and in order") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const auto seed = GENERATE(range(1U, 7U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
  Followed t(Capture::kByHand);
  t.options.window_transactions_max = 1 + random() % 4;
  t.options.page_rows = 1 + random() % 3;
  t.options.readers = 1 + random() % 3;
  t.options.query_mode = seed % 2 == 0 ? QueryMode::kDirect : QueryMode::kFunctions;
  t.start();
  int next_id = 1;
  int next_instance = 2;
  std::vector<std::string> instances = {"t1"};
  Lines got;
  for (int step = 0; step < 60; ++step) {
    t.insert(next_id++);
    if (instances.size() == 1 && chance(20)) {
      instances.push_back("t" + std::to_string(next_instance++));
      t.enable(instances.back());
    }
    if (chance(50)) {
      t.server().capture(1 + random() % 3);
    }
    if (chance(20) && t.server().uncaptured() == 0) {
      t.server().write_idle_row();
    }
    if (chance(15)) {
      t.restart();
    }
    if (chance(40)) {
      got = got + t.read();
    }
    if (instances.size() == 2 && chance(20)) {
      t.capture();
      got = got + t.read();
      t.disable(instances.front());
      instances.erase(instances.begin());
    }
  }
  t.capture();
  got = got + t.read();
  CHECK(got == ids(1, next_id - 1));
  CHECK(next_instance > 3);
}

// Runs `act` in the server before the second page of a change table is read.
void at_second_page(Followed& t, std::function<void()> act) {
  test::sqlserver::Fault fault;
  fault.pattern = "t1(_CT\\]|\\]\\().*ORDER BY";
  fault.skip = 1;
  fault.before = std::move(act);
  t.server().faults().add(fault);
}

TEST_CASE("what happens to an instance in the middle of a window is noticed before it leaves") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.query_mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  t.options.readers = GENERATE(std::size_t{1}, std::size_t{2});
  t.options.page_rows = 1;
  t.start();
  t.insert(1);
  t.insert(2);
  t.capture();
  SECTION("dropped, with the newer one too young") {
    at_second_page(t, [&] {
      t.enable("t2");
      t.disable("t1");
    });
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kPositionLost);
  }
  SECTION("cleaned up") {
    at_second_page(t, [&] { t.server().cleanup_to(t.server().max_lsn()); });
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kPositionLost);
  }
  SECTION("a second one made") {
    at_second_page(t, [&] { t.enable("t2"); });
    CHECK(t.read() == ids(1, 2));
  }
  SECTION("a column's type changed, and with it that of the rows that were read") {
    // Be it in the same tick of the server's clock as what was before.
    if (GENERATE(false, true)) {
      t.server().set_clock([] { return test::sqlserver::Moment{}; });
      t.execute("ALTER TABLE dbo.t ALTER COLUMN v bigint NULL");
      t.capture();
    }
    at_second_page(t, [&] {
      t.execute("ALTER TABLE dbo.t ALTER COLUMN v nvarchar(20) NULL");
      t.capture();
    });
    CHECK(t.read() == ids(1, 2));
    CHECK(t.column("v").native_type == "character varying(20)");
  }
  CHECK(t.server().faults().struck(1) == 1);
}

// ---- columns

// CDC records nothing of a computed column, so that the rest of such a key is that of several rows.
TEST_CASE("a key with a computed column is none") {
  Followed t;
  t.execute(
      "CREATE TABLE dbo.sums (a int NOT NULL, b int NOT NULL, c AS (a + b) PERSISTED, "
      "PRIMARY KEY (a, c))");
  t.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'sums', "
      "@role_name = NULL");
  t.capture();
  t.start();
  t.execute("INSERT INTO dbo.sums (a, b) VALUES (1, 1), (1, 2)");
  t.capture();
  CHECK(t.read() == Lines{"INSERT sums a=1,b=1", "INSERT sums a=1,b=2"});
  CHECK(t.known.back().source.name.table == "sums");
  CHECK(t.known.back().source.key.empty());
  const auto findings = t.source->check({});
  CHECK(std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.what.find("dbo.sums knows no key") != std::string::npos;
  }));
}

TEST_CASE("a column that no instance has is told with the statement that captures it") {
  Followed t;
  t.start();
  t.execute("ALTER TABLE dbo.t ADD [w x] int NULL");
  t.insert(1);
  t.capture();
  CHECK(t.read() == ids(1, 1));
  const auto warning = [&] {
    Finding found;
    for (const Finding& finding : t.source->check({})) {
      if (finding.level == Finding::Level::kWarning &&
          finding.what.find("no capture instance has") != std::string::npos) {
        found = finding;
      }
    }
    return found;
  };
  const Finding finding = warning();
  CHECK(finding.what.find("dbo.t ") != std::string::npos);
  CHECK(finding.what.find("w x") != std::string::npos);
  CHECK(t.log().find("no capture instance has") != std::string::npos);
  SECTION("the statement works as it stands") {
    t.execute(finding.remedy.substr(0, finding.remedy.find(" --")));
    t.execute("INSERT INTO dbo.t VALUES (2, 2, 7)");
    t.capture();
    CHECK(t.read() == Lines{"INSERT t id=2,v=2,w x=7"});
    CHECK(warning().what.empty());
    t.execute("ALTER TABLE dbo.t ADD y int NULL");
    CHECK(warning().remedy.find("sp_cdc_disable_table") != std::string::npos);
  }
  SECTION("a column list that leaves columns out on purpose is no such thing") {
    t.disable("t1");
    t.execute(
        "EXEC sys.sp_cdc_enable_table N'dbo', N't', N't1', @role_name = NULL, "
        "@captured_column_list = N'id,[w x]'");
    CHECK(warning().what.empty());
  }
}

TEST_CASE("a new column's value in older rows is NULL only where that is certain") {
  Followed t;
  t.options.query_mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  t.start();
  t.insert(1);
  t.insert(2);
  auto wanted = ColumnFill::Kind::kUnknown;
  SECTION("added, captured, nothing in between") {
    t.execute("ALTER TABLE dbo.t ADD w int");
    wanted = ColumnFill::Kind::kNull;
  }
  SECTION("with a row removed in between") {
    t.execute("ALTER TABLE dbo.t ADD w int");
    t.execute("DELETE FROM dbo.t WHERE id = 2");
    wanted = ColumnFill::Kind::kNull;
  }
  SECTION("with a row changed in between") {
    t.execute("ALTER TABLE dbo.t ADD w int");
    t.execute("UPDATE dbo.t SET w = 5 WHERE id = 2");
  }
  SECTION("with a row added in between, of another transaction") {
    t.execute("ALTER TABLE dbo.t ADD w int");
    t.execute("INSERT INTO dbo.t VALUES (3, 3, 3)");
  }
  SECTION("with a default for the rows that are there") {
    t.execute("ALTER TABLE dbo.t ADD w int NOT NULL DEFAULT 7");
  }
  SECTION("with the older instance gone, who could know") {
    t.execute("ALTER TABLE dbo.t ADD w int");
    t.enable("t2");
    t.capture();
    t.read();
    t.disable("t1");
    t.restart();
  }
  if (t.database.value("SELECT COUNT(*) FROM cdc.change_tables WHERE capture_instance = N't2'") ==
      "0") {
    t.enable("t2");
  }
  t.execute("UPDATE dbo.t SET v = 9 WHERE id = 1");
  t.capture();
  t.read();
  REQUIRE(t.schemas.back()->columns.size() == 3);
  CHECK(t.column("w").fill.kind == wanted);
}

TEST_CASE("the text of an ALTER TABLE says whether it adds a column that is NULL") {
  CHECK(adds_null_column("ALTER TABLE dbo.t ADD w int", "w"));
  CHECK(adds_null_column("alter table [dbo].[t] add [a,b] decimal(10, 2) null, w int", "W"));
  CHECK(adds_null_column("ALTER TABLE t ADD v int, \"w x\" int -- default", "w x"));
  CHECK(adds_null_column("ALTER TABLE t /* default */ ADD w int", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD w int DEFAULT 1 WITH VALUES", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD w int NOT NULL DEFAULT 1", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD CONSTRAINT c CHECK (w > 1)", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD v AS w + 1", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD v w", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD v decimal(w, w)", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t DROP COLUMN w", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ALTER COLUMN w int", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE w ADD v int", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD w2 int", "w"));
  CHECK_FALSE(adds_null_column("", "w"));
  CHECK_FALSE(adds_null_column("ALTER TABLE t ADD [w", "v"));
  CHECK(mentions("ALTER TABLE t ADD CHECK ([w] > 1)", "W"));
  CHECK_FALSE(mentions("ALTER TABLE t ADD w2 int -- w", "w"));
}

TEST_CASE("a dropped column's NULL overwrites nothing, and a new instance takes the column away") {
  Followed t;
  t.start();
  t.insert(1);
  t.insert(2);
  t.capture();
  t.read();
  t.execute("UPDATE dbo.t SET v = 5 WHERE id = 2");
  t.execute("UPDATE dbo.t SET v = NULL WHERE id = 1");
  t.execute("ALTER TABLE dbo.t ADD w int NULL");
  t.execute("ALTER TABLE dbo.t DROP COLUMN v");
  t.execute("UPDATE dbo.t SET w = 1 WHERE id = 2");
  t.execute("INSERT INTO dbo.t VALUES (3, 3)");
  t.execute("DELETE FROM dbo.t WHERE id = 1");
  t.capture();
  CHECK(t.read() == Lines{"UPDATE_AFTER t id=2,v=5", "UPDATE_AFTER t id=1,v=SAME",
                          "UPDATE_AFTER t id=2,v=SAME", "INSERT t id=3,v=NULL",
                          "DELETE t id=1,v=SAME"});
  CHECK(t.log().find("columns of table dbo.t were dropped") != std::string::npos);
  t.enable("t2");
  t.execute("INSERT INTO dbo.t VALUES (4, 4)");
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=4,w=4"});
}

TEST_CASE("a column dropped and added again under its name is another column") {
  Followed t;
  t.start();
  t.insert(1);
  t.execute("ALTER TABLE dbo.t DROP COLUMN v");
  t.execute("ALTER TABLE dbo.t ADD v nvarchar(10) NULL");
  t.execute("UPDATE dbo.t SET v = N'new' WHERE id = 1");
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=1,v=1", "UPDATE_AFTER t id=1,v=SAME"});
  const std::uint32_t old_id = t.column("v").source_id;
  CHECK(t.log().find("no capture instance has") != std::string::npos);
  t.enable("t2");
  t.execute("UPDATE dbo.t SET v = N'newer' WHERE id = 1");
  t.capture();
  CHECK(t.read() == Lines{"UPDATE_AFTER t id=1,v=newer"});
  CHECK(t.column("v").source_id != old_id);
  CHECK(t.column("v").fill.kind == ColumnFill::Kind::kUnknown);
}

TEST_CASE("a changed type is followed where the capture process has changed the change table") {
  Followed t;
  t.start();
  t.insert(1);
  t.capture();
  t.read();
  CHECK(t.column("v").native_type == "integer");
  t.execute("ALTER TABLE dbo.t ALTER COLUMN v bigint NULL");
  t.execute("INSERT INTO dbo.t VALUES (2, 5000000000)");
  t.capture();
  CHECK(t.read() == Lines{"INSERT t id=2,v=5000000000"});
  CHECK(t.column("v").native_type == "bigint");
}

TEST_CASE("a renamed table is followed under its new name, or asked for") {
  const bool in_one_tick = GENERATE(false, true);  // of the server's clock
  if (in_one_tick && !test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(in_one_tick ? Capture::kByHand : Capture::kItself);
  const bool matches = GENERATE(true, false);
  t.options.tables = {"dbo.t*", "dbo.o*"};
  if (in_one_tick) {
    t.server().set_clock([] { return test::sqlserver::Moment{}; });
    t.execute("ALTER TABLE dbo.t ALTER COLUMN v bigint NULL");
    t.capture();
  }
  t.start();
  t.insert(1);
  t.execute(matches ? "EXEC sp_rename N'dbo.t', N't_new'" : "EXEC sp_rename N'dbo.t', N'u'");
  t.capture();
  if (matches) {
    CHECK(t.read() == Lines{"INSERT t_new id=1,v=1"});
  } else {
    const bool restarts = GENERATE(false, true);
    CHECK(t.failure([&] {
      if (restarts) {
        t.restart();
      }
      t.read();
    }) == ErrorKind::kOperator);
    CHECK(t.message.find("dbo.u") != std::string::npos);
  }
}

// ---- functions

TEST_CASE("a login that may only use the functions reads the same") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.execute(
      "CREATE LOGIN reader WITH PASSWORD = N'Double_1'; CREATE USER reader FOR LOGIN reader;"
      "GRANT SELECT ON dbo.t TO reader; GRANT SELECT ON dbo.other TO reader;"
      "GRANT SELECT ON cdc.change_tables TO reader; GRANT SELECT ON cdc.captured_columns TO reader;"
      "GRANT SELECT ON cdc.index_columns TO reader; GRANT SELECT ON cdc.ddl_history TO reader;"
      "GRANT SELECT ON cdc.lsn_time_mapping TO reader;"
      "GRANT EXECUTE ON cdc.fn_cdc_get_all_changes_t1 TO reader");
  const auto uid = t.options.connection_string.find("UID=sa");
  REQUIRE(uid != std::string::npos);
  t.options.connection_string.replace(uid, 6, "UID=reader");
  t.insert(1);
  t.capture();
  SECTION("not the change tables") {
    CHECK(t.failure([&] {
      t.start();
      t.insert(2);
      t.capture();
      t.read();
    }) == ErrorKind::kOperator);
  }
  SECTION("but by functions") {
    t.options.query_mode = QueryMode::kFunctions;
    t.start();
    t.insert(2);
    t.execute("UPDATE dbo.t SET v = 7 WHERE id = 1");
    t.capture();
    CHECK(t.read() == Lines{"INSERT t id=2,v=2", "UPDATE_AFTER t id=1,v=7"});
  }
}

TEST_CASE("by functions, what clean-up took is missed and a young instance is waited for") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.query_mode = QueryMode::kFunctions;
  t.start();
  t.insert(1);
  SECTION("cleaned up between the look and the reading") {
    t.capture();
    test::sqlserver::Fault fault;
    fault.pattern = "fn_cdc_get_all_changes_t1";
    fault.before = [&] { t.server().cleanup_to(t.server().max_lsn(), "t1"); };
    t.server().faults().add(fault);
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kPositionLost);
    CHECK(t.message.find("dbo.t") != std::string::npos);
  }
  SECTION("refused although nothing is gone") {
    t.capture();
    test::sqlserver::Fault fault;
    fault.pattern = "fn_cdc_get_all_changes_t1";
    fault.error = test::sqlserver::SqlError(
        313,
        "An insufficient number of arguments were supplied for the procedure or function "
        "cdc.fn_cdc_get_all_changes_ ... .",
        16, 3);
    t.server().faults().add(fault);
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kTransient);
    t.reopen();
    CHECK(t.read() == ids(1, 1));
  }
  SECTION("a row of NULLs in place of an answer") {
    t.capture();
    test::sqlserver::Fault fault;
    fault.pattern = "fn_cdc_get_all_changes_t1";
    fault.rewrite = test::sqlserver::nulls_in("__$start_lsn");
    t.server().faults().add(fault);
    CHECK(t.failure([&] { t.read(); }) == ErrorKind::kOperator);
  }
}

// Without __$command_id the change tables do not say in which order a statement moved rows to keys
// of one another, and pairs of images never do: better no answer than a wrong one.
TEST_CASE("rows that get keys of one another are told right, or not at all") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  using Shape = test::sqlserver::KeyUpdateShape;
  test::SqlServerOptions server;
  server.traits.command_id = GENERATE(true, false);
  server.traits.key_updates = GENERATE(Shape::kDeleteInsert, Shape::kUpdatePair);
  const bool functions = GENERATE(false, true);
  const bool pairs = server.traits.key_updates == Shape::kUpdatePair;
  const bool ordered = server.traits.command_id && !functions && !pairs;
  CAPTURE(server.traits.command_id, pairs, functions);
  Followed t(Capture::kByHand, server);
  t.options.query_mode = functions ? QueryMode::kFunctions : QueryMode::kDirect;
  t.options.page_rows = 1;
  t.start();
  t.insert(1);
  t.insert(2);
  t.capture();
  CHECK(t.read() == ids(1, 2));
  SECTION("by one statement") {
    t.execute("UPDATE dbo.t SET id = id + 1");
    t.capture();
    if (ordered) {
      CHECK(t.read() == Lines{"DELETE t id=1,v=1", "DELETE t id=2,v=2", "INSERT t id=2,v=1",
                              "INSERT t id=3,v=2"});
    } else {
      CHECK(t.failure([&] { t.read(); }) == ErrorKind::kOperator);
      CHECK(t.message.find(pairs ? "begin again with a new copy" : "query_mode: direct") !=
            std::string::npos);
    }
  }
  SECTION("downwards, where each key is free when it is taken") {
    t.execute("UPDATE dbo.t SET id = id - 1");
    t.capture();
    CHECK(t.read().size() == (pairs ? 2U : 4U));
  }
  SECTION("to new keys, and in transactions of their own") {
    t.execute("UPDATE dbo.t SET id = id + 10");
    t.execute("UPDATE dbo.t SET id = 21 WHERE id = 11");
    t.execute("UPDATE dbo.t SET id = 11 WHERE id = 12");
    t.execute(
        "BEGIN TRAN; INSERT INTO dbo.t VALUES (5, 5); DELETE FROM dbo.t WHERE id = 5;"
        "INSERT INTO dbo.t VALUES (5, 6); UPDATE dbo.t SET id = 6 WHERE id = 5; COMMIT");
    t.capture();
    CHECK(t.read().size() == (pairs ? 2U + 1 + 1 + 4 : 4U + 2 + 2 + 5));
  }
}

// ---- several readers

std::size_t threads_of_this_process() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    ++count;
  }
  return count;
}

TEST_CASE("several readers deliver what one does: transactions over many tables, in order") {
  Followed t;
  constexpr int kTables = 6;
  for (int table = 0; table < kTables; ++table) {
    const std::string name = "m" + std::to_string(table);
    t.execute("CREATE TABLE dbo." + name + " (id int NOT NULL PRIMARY KEY, v int NULL)");
    t.execute("EXEC sys.sp_cdc_enable_table N'dbo', N'" + name + "', @role_name = NULL");
  }
  t.capture();
  t.options.page_rows = 3;
  t.options.readers = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{4});
  t.options.query_mode = GENERATE(QueryMode::kDirect, QueryMode::kFunctions);
  t.start();
  Lines wanted;
  for (int i = 0; i < 40; ++i) {
    std::string batch = "BEGIN TRAN; ";
    for (int j = 0; j <= i % 5; ++j) {
      const std::string table = "m" + std::to_string((i * 7 + j * 3) % kTables);
      const std::string id = std::to_string(i * 10 + j);
      batch += "INSERT INTO dbo." + table + " VALUES (" + id + ", 1); ";
      wanted.push_back("INSERT " + table + " id=" + id + ",v=1");
    }
    t.execute(batch + "COMMIT");
  }
  t.capture();
  CHECK(t.read() == wanted);
}

TEST_CASE("the error of one reader is the capturer's, and reading begins anew behind it") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.readers = 2;
  t.options.page_rows = 1;
  t.start();
  t.insert(1);
  t.insert(2);
  t.execute("INSERT INTO dbo.other VALUES (1)");
  t.capture();
  test::sqlserver::Fault fault;
  fault.pattern = "t1_CT\\].*ORDER BY";
  fault.skip = GENERATE(0U, 1U);
  SECTION("a deadlock") {
    fault.error = test::sqlserver::SqlError(1205, "Transaction was deadlocked.", 13, 51);
  }
  SECTION("a lost connection") {
    fault.drop = test::sqlserver::Drop::kInRows;
  }
  t.server().faults().add(fault);
  CHECK(t.failure([&] { t.read(); }) == ErrorKind::kTransient);
  t.source->cdc().stop();
  t.source->cdc().open({t.position, false});
  CHECK(t.read() == ids(1, 2) + Lines{"INSERT other id=1"});
}

TEST_CASE("a reader that waits for the server holds up neither deadlines nor the end") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.readers = 3;
  t.start();
  t.insert(1);
  t.capture();
  const std::size_t threads = threads_of_this_process();
  test::sqlserver::Fault fault;
  fault.pattern = "t1_CT\\].*ORDER BY";
  fault.held = true;
  const auto id = t.server().faults().add(fault);
  const TimePoint before = t.clock.now();
  while (t.server().faults().struck(id) == 0) {
    REQUIRE(t.clock.now() < before + 20s);
    CHECK(t.source->cdc().fetch({}, t.clock.now() + 50ms).transactions.empty());
  }
  const TimePoint began = t.clock.now();
  CHECK(t.source->cdc().fetch({}, began + 100ms).transactions.empty());
  CHECK(t.clock.now() < began + 5s);
  SECTION("it goes on when the answer comes") {
    t.server().faults().release(id);
    CHECK(t.read() == ids(1, 1));
  }
  SECTION("it is cancelled at the end, and no thread is left") {
    t.source->cdc().stop();
    CHECK(t.clock.now() < began + 5s);
    t.server().faults().clear();
    t.source.reset();
    const TimePoint stopped = t.clock.now();
    // The double has a thread for each connection, which ends a moment after it.
    while (threads_of_this_process() > threads && t.clock.now() < stopped + 20s) {
      std::this_thread::yield();
    }
    CHECK(threads_of_this_process() <= threads);
    t.restart();
    CHECK(t.read() == ids(1, 1));
  }
}

TEST_CASE("however long a window is, a table's readers hold one page and ask for one more") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Followed t(Capture::kByHand);
  t.options.readers = 2;
  t.options.page_rows = 10;
  t.options.window_transactions_max = 1000;
  t.start();
  for (int id = 1; id <= 200; ++id) {
    t.insert(id);
  }
  t.execute("INSERT INTO dbo.other VALUES (1)");
  t.capture();
  // The last row of all is held back, so that nothing can be merged behind the first page.
  test::sqlserver::Fault fault;
  fault.pattern = "dbo_other_CT\\].*ORDER BY";
  fault.held = true;
  const auto id = t.server().faults().add(fault);
  const auto pages = [&] {
    std::size_t count = 0;
    for (const auto& statement : t.server().statements()) {
      count += statement.text.find("[t1_CT]") != std::string::npos &&
                       statement.text.find("ORDER BY") != std::string::npos
                   ? 1U
                   : 0U;
    }
    return count;
  };
  t.server().forget_statements();
  for (int i = 0; i < 20; ++i) {
    CHECK(t.source->cdc().fetch({}, t.clock.now() + 20ms).transactions.empty());
  }
  CHECK(pages() <= 2);
  t.server().faults().release(id);
  CHECK(t.read() == ids(1, 200) + Lines{"INSERT other id=1"});
}

}  // namespace
}  // namespace headgate::source::sqlserver
