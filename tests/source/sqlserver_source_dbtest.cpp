// The SQL Server source: what the capturer hands over for what applications did. The server is the
// double, through FreeTDS's real driver, or the one that HEADGATE_TEST_SQLSERVER names.

#include "source/sqlserver/sqlserver_source.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/hex.hpp"
#include "core/value_text.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_database.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::source::sqlserver {
namespace {

using namespace std::chrono_literals;
using test::SqlServerDouble;

std::string shown(const TableSchema& table, Row row) {
  std::string text;
  for (std::size_t i = 0; i < row.size(); ++i) {
    text += i == 0 ? "" : ",";
    if (row[i].is_null()) {
      text += "NULL";
    } else if (row[i].is_unchanged()) {
      text += "UNCHANGED";
    } else {
      text += value_text(table.columns[i], row[i]);
    }
  }
  return text;
}

// "insert dbo.t (1,one); …" of one transaction.
std::string shown(const Transaction& transaction) {
  std::string text;
  for (const Change& change : transaction.changes()) {
    text += text.empty() ? "" : "; ";
    text += std::string(to_string(change.operation)) + " " + change.table->name.to_string() + " ";
    if (!change.before.empty()) {
      text += "(" + shown(*change.table, change.before) + ") -> ";
    }
    text += "(" + shown(*change.table, change.data) + ")";
  }
  return text;
}

constexpr const char* kDoubleDoes = "captures, cleans up and restores when it is told to";

// Who makes the capture process read.
enum class Capture {
  kItself,  // it reads on its own
  kByHand,  // the test, which only the double can do
};

// A database with two captured tables, a source that reads it, and what it has handed over.
class Captured {
 public:
  explicit Captured(Capture who = Capture::kItself) : by_hand_(who == Capture::kByHand) {
    if (by_hand_) {
      server().set_capture(test::CaptureMode::kManual);
    }
    create("orders", "id int NOT NULL PRIMARY KEY, note nvarchar(50) NULL");
    create("lines", "id int NOT NULL PRIMARY KEY, body nvarchar(max) NULL, n int NULL");
    capture();
    options.connection_string = database.connection_string();
    options.tables = {"dbo.*"};
    options.spill_folder = "/tmp";
    options.idle_advance_interval = 0s;
    options.poll_interval = 10ms;
  }

  void create(const std::string& table, const std::string& columns) {
    database.create_captured(table, columns);
  }
  void execute(const std::string& sql) { database.execute(sql); }

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

  void start() {
    source = std::make_unique<SqlServerSource>(options, clock, make_logger("test"));
    source->prepare({});
    source->snapshot().open({{}, true});
    const CaptureResult copy = source->snapshot().fetch({}, clock.now());
    REQUIRE(copy.transactions.size() == 1);
    position = copy.transactions[0]->end_position;
    for (const TableSchemaPtr& table : copy.transactions[0]->involved_tables()) {
      known.push_back({*table, table->name});
    }
    resume();
  }
  // As another process would: of what was before, only the sink's memory is left.
  void restart() {
    source = std::make_unique<SqlServerSource>(options, clock, make_logger("test"));
    resume();
  }
  void resume() {
    source->prepare({{"sink", position, known}});
    source->cdc().open({position, false});
  }

  // Everything that is captured by now, one line per transaction.
  std::vector<std::string> read(FetchLimits limits = {}) {
    std::vector<std::string> lines;
    std::string open;
    const LSN end = source->current_end();
    const TimePoint give_up = clock.now() + 20s;
    while (position.lsn < end && clock.now() < give_up) {
      for (const TransactionPtr& transaction :
           source->cdc().fetch(limits, clock.now() + 100ms).transactions) {
        open += (open.empty() || transaction->changes().empty() ? "" : "; ") + shown(*transaction);
        if (ends(transaction->portion)) {
          position = transaction->end_position;
          if (!open.empty()) {
            lines.push_back(std::exchange(open, {}));
            ++lines_read;
          }
        }
      }
    }
    REQUIRE(end <= position.lsn);  // idle rows go on
    return lines;
  }

  test::SqlServerDatabase database;
  SystemClock clock;
  Options options;
  std::unique_ptr<SqlServerSource> source;
  Position position;
  TableRecords known;  // what the sink remembers
  int lines_read = 0;  // by all read()

 private:
  bool by_hand_;
};

using Lines = std::vector<std::string>;

TEST_CASE("transactions over several tables arrive whole, in order, updates with both their rows") {
  Captured captured;
  captured.start();
  captured.execute(
      "BEGIN TRAN; INSERT INTO dbo.orders VALUES (1, N'one'), (2, NULL);"
      "INSERT INTO dbo.lines VALUES (10, N'ten', 1); UPDATE dbo.orders SET note = N'two' WHERE id "
      "= 2;"
      "COMMIT");
  captured.execute("DELETE FROM dbo.orders WHERE id = 1");
  captured.capture();
  CHECK(captured.read() ==
        Lines{"INSERT dbo.orders (1,one); INSERT dbo.orders (2,NULL); INSERT dbo.lines (10,ten,1); "
              "UPDATE_AFTER dbo.orders (2,NULL) -> (2,two)",
              "DELETE dbo.orders (1,one)"});
}

TEST_CASE("nothing is handed over before the capture process has committed it") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Captured captured(Capture::kByHand);
  captured.start();
  captured.execute("INSERT INTO dbo.orders VALUES (1, N'one')");
  captured.execute("INSERT INTO dbo.orders VALUES (2, N'two')");
  captured.server().capture(1);
  CHECK(captured.read() == Lines{"INSERT dbo.orders (1,one)"});
  CHECK(captured.source->cdc().fetch({}, captured.clock.now() + 50ms).transactions.empty());
  captured.capture();
  CHECK(captured.read() == Lines{"INSERT dbo.orders (2,two)"});
}

TEST_CASE("pages may end anywhere, within a transaction and between the rows of an update") {
  Captured captured;
  captured.options.page_rows = 1 + GENERATE(range(0U, 4U));
  captured.options.window_transactions_max = 2;
  captured.start();
  Lines wanted;
  for (int i = 0; i < 7; ++i) {
    const std::string id = std::to_string(i);
    captured.execute("BEGIN TRAN; INSERT INTO dbo.orders VALUES (" + id +
                     ", N'a'); UPDATE dbo.orders SET note = N'b' WHERE id = " + id +
                     "; INSERT INTO dbo.lines VALUES (" + id +
                     ", N'x', 0); UPDATE dbo.lines SET n = 1 WHERE id = " + id + "; COMMIT");
    wanted.push_back("INSERT dbo.orders (" + id + ",a); UPDATE_AFTER dbo.orders (" + id +
                     ",a) -> (" + id + ",b); INSERT dbo.lines (" + id +
                     ",x,0); UPDATE_AFTER dbo.lines (" + id + ",UNCHANGED,0) -> (" + id);
  }
  captured.capture();
  const Lines lines = captured.read();
  REQUIRE(lines.size() == wanted.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(lines[i].starts_with(wanted[i]));
  }
}

TEST_CASE("a transaction larger than the gate's memory comes in portions, all of it, in order") {
  Captured captured;
  captured.options.gate_bytes_max = 20'000;
  captured.options.page_rows = 50;
  captured.start();
  std::string batch = "BEGIN TRAN; ";
  std::string wanted;
  for (int i = 0; i < 600; ++i) {
    const std::string id = std::to_string(i);
    const bool order = i % 3 != 0;
    batch += order ? "INSERT INTO dbo.orders VALUES (" + id + ", N'o');"
                   : "INSERT INTO dbo.lines VALUES (" + id + ", N'l', NULL);";
    wanted += (i == 0 ? "" : "; ") +
              (order ? "INSERT dbo.orders (" + id + ",o)" : "INSERT dbo.lines (" + id + ",l,NULL)");
  }
  captured.execute(batch + "COMMIT");
  captured.capture();
  FetchLimits limits;
  limits.bytes_max = 5000;
  const Lines lines = captured.read(limits);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == wanted);
}

TEST_CASE("a restart goes on behind the position, without a gap and without a repetition") {
  Captured captured;
  captured.start();
  captured.execute("INSERT INTO dbo.orders VALUES (1, N'one')");
  captured.capture();
  CHECK(captured.read().size() == 1);
  captured.execute("INSERT INTO dbo.orders VALUES (2, N'two')");
  captured.execute("INSERT INTO dbo.orders VALUES (3, N'three')");
  captured.capture();
  captured.resume();
  CHECK(captured.read() == Lines{"INSERT dbo.orders (2,two)", "INSERT dbo.orders (3,three)"});
}

// One value per type at its extremes, as sinks get it.
TEST_CASE("every type's values arrive digit by digit") {
  struct Value {
    std::string type;
    std::string literal;
    std::string wanted;
  };
  const std::string long_text(9000, 'x');
  const std::vector<Value> values = {
      {"bit", "1", "t"},
      {"bit", "0", "f"},
      {"tinyint", "255", "255"},
      {"smallint", "-32768", "-32768"},
      {"int", "-2147483648", "-2147483648"},
      {"bigint", "-9223372036854775808", "-9223372036854775808"},
      {"real", "3.4028234E38", "3.4028235e+38"},
      {"float", "2.2250738585072014E-308", "2.2250738585072014e-308"},
      {"float", "0.1", "0.1"},
      {"decimal(38,0)", "99999999999999999999999999999999999999",
       "99999999999999999999999999999999999999"},
      {"decimal(38,38)", "-0.00000000000000000000000000000000000001",
       "-0.00000000000000000000000000000000000001"},
      {"numeric(10,2)", "1.10", "1.10"},
      {"money", "-922337203685477.5808", "-922337203685477.5808"},
      {"smallmoney", "214748.3647", "214748.3647"},
      {"date", "'0001-01-01'", "0001-01-01"},
      {"date", "'9999-12-31'", "9999-12-31"},
      {"time(7)", "'23:59:59.9999999'", "23:59:59.9999999"},
      {"time(0)", "'00:00:00'", "00:00:00"},
      {"datetime", "'1753-01-01T00:00:00.003'", "1753-01-01 00:00:00.003"},
      {"smalldatetime", "'2079-06-06T23:59:00'", "2079-06-06 23:59:00"},
      {"datetime2(7)", "'0001-01-01T00:00:00.0000001'", "0001-01-01 00:00:00.0000001"},
      {"datetime2(3)", "'9999-12-31T23:59:59.999'", "9999-12-31 23:59:59.999"},
      {"datetimeoffset(7)", "'2020-02-29T12:00:00.1234567+14:00'",
       "2020-02-29 12:00:00.1234567 +14:00"},
      {"char(5)", "'ab'", "ab   "},
      {"varchar(20)", "''", ""},
      {"nvarchar(20)", "N'\u00e4\u65e5\U0001F600'", "\u00e4\u65e5\U0001F600"},
      {"nvarchar(max)", "N'" + long_text + "'", long_text},
      {"varbinary(10)", "0x00FF", "\\x00ff"},
      {"varbinary(max)", "0x" + to_hex(long_text), "\\x" + to_hex(long_text)},
      {"binary(3)", "0x01", "\\x010000"},
      {"uniqueidentifier", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'",
       "6F9619FF-8B86-D011-B42D-00C04FC964FF"},
      {"xml", "N'<a>1</a>'", "<a>1</a>"},
      {"sql_variant", "CONVERT(int, 42)", "42"},
  };
  Captured captured;
  std::string columns = "id int NOT NULL PRIMARY KEY";
  std::string literals = "1";
  std::string nulls = "2";
  for (std::size_t i = 0; i < values.size(); ++i) {
    columns += ", c" + std::to_string(i) + " " + values[i].type + " NULL";
    literals += ", " + values[i].literal;
    nulls += ", NULL";
  }
  captured.create("every", columns);
  captured.capture();
  captured.start();
  captured.execute("INSERT INTO dbo.every VALUES (" + literals + ")");
  captured.execute("INSERT INTO dbo.every VALUES (" + nulls + ")");
  captured.capture();
  std::vector<std::vector<std::string>> rows;
  const TimePoint give_up = captured.clock.now() + 20s;
  while (rows.size() < 2 && captured.clock.now() < give_up) {
    for (const TransactionPtr& transaction :
         captured.source->cdc().fetch({}, captured.clock.now() + 100ms).transactions) {
      for (const Change& change : transaction->changes()) {
        std::vector<std::string>& row = rows.emplace_back();
        for (std::size_t i = 0; i < change.data.size(); ++i) {
          row.push_back(change.data[i].is_null()
                            ? "NULL"
                            : value_text(change.table->columns[i], change.data[i]));
        }
      }
    }
  }
  REQUIRE(rows.size() == 2);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(values[i].type);
    CHECK(rows[0].at(i + 1) == values[i].wanted);
    CHECK(rows[1].at(i + 1) == "NULL");
  }
}

ErrorKind kind_of_failure(Captured& captured) {
  try {
    captured.read();
  } catch (const Error& error) {
    INFO(error.describe());
    return error.kind();
  }
  return ErrorKind::kFenced;  // none
}

TEST_CASE("what clean-up has taken is missed, before or while it is read") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Captured captured(Capture::kByHand);
  captured.start();
  captured.execute("INSERT INTO dbo.orders VALUES (1, N'one')");
  captured.execute("INSERT INTO dbo.orders VALUES (2, N'two')");
  captured.capture();
  const std::string end = captured.server().max_lsn();
  SECTION("before") {
    captured.server().cleanup_to(end);
    CHECK_THROWS_AS(captured.resume(), Error);
  }
  SECTION("between two connections of a first run, of which no sink remembers anything") {
    captured.source->prepare({});
    captured.source->cdc().open({captured.position, false});
    captured.server().cleanup_to(end);
    CHECK_THROWS_AS(captured.source->cdc().open({captured.position, false}), Error);
  }
  SECTION("while nobody was there") {
    captured.server().cleanup_to(end);
    try {
      captured.restart();
      FAIL("the gap went unnoticed");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kPositionLost);
    }
  }
  SECTION("with the capture instance, which was made anew while nobody was there") {
    captured.execute(
        "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'orders', "
        "@capture_instance = N'all'");
    captured.execute(
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'orders', "
        "@role_name = NULL");
    captured.capture();
    try {
      captured.restart();
      FAIL("the gap went unnoticed");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kPositionLost);
    }
  }
  SECTION("while") {
    captured.server().raise_low_water_mark(end);
    captured.server().delete_below_low_water_mark();
    CHECK(kind_of_failure(captured) == ErrorKind::kPositionLost);
  }
}

TEST_CASE("an idle database, and a table that was enabled just now, are no gap") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Captured captured(Capture::kByHand);
  captured.start();
  captured.server().write_idle_row();
  CHECK(captured.read().empty());
  captured.create("young", "id int NOT NULL PRIMARY KEY");
  captured.server().write_idle_row();
  CHECK(captured.read().empty());
  captured.restart();
  CHECK(captured.read().empty());
}

// From the login's first question to the last look behind a window; some of them, in full all. The
// server takes the cancellation, or not even that.
TEST_CASE("an answer that does not come is given up after a time, whichever it was") {
  if (!test::needs_the_double("keeps answers back")) {
    return;
  }
  const std::uint64_t seed = test::random_seed("sqlserver_source, time-outs");
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);
  const bool full = test::number_from_environment("HEADGATE_TEST_FULL", 0) != 0;
  unsigned requests = 40;  // until it is known better
  for (unsigned request = 0; request < requests;
       request += full ? 1 : 1 + static_cast<unsigned>(random() % 10)) {
    INFO("request " << request);
    Captured captured;
    captured.options.statement_timeout = 1s;
    captured.options.readers = 1 + random() % 2;
    captured.start();
    Lines wanted;
    for (const std::string id : {"1", "2", "3"}) {
      captured.execute("BEGIN TRAN; INSERT INTO dbo.orders VALUES (" + id +
                       ", N'a'); INSERT INTO dbo.lines VALUES (" + id + ", N'b', 1); COMMIT");
      wanted.push_back("INSERT dbo.orders (" + id + ",a); INSERT dbo.lines (" + id + ",b,1)");
    }
    captured.capture();
    test::sqlserver::Fault silence;
    silence.application = "headgate";
    silence.skip = request;
    silence.held = true;
    silence.ignores_attention = random() % 4 == 0;
    const auto fault = captured.server().faults().add(silence);
    captured.server().forget_statements();
    Lines lines;
    unsigned failures = 0;
    for (bool done = false; !done && failures < 5;) {
      try {
        captured.restart();
        const Lines more = captured.read();
        lines.insert(lines.end(), more.begin(), more.end());
        done = true;
      } catch (const Error& error) {
        INFO(error.describe());
        CHECK(error.kind() == ErrorKind::kTransient);
        ++failures;
      }
    }
    CHECK(lines == wanted);
    CHECK(failures == captured.server().faults().struck(fault));
    if (failures == 0) {  // there was no such request
      requests = request;
    }
  }
  CHECK(requests > 20);
}

// A server that answers so is broken. Whatever it meant, none of it may be taken for what was done.
TEST_CASE("rows that come out of their order, twice, or from elsewhere are refused, all of them") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  const std::size_t readers = GENERATE(1U, 3U);
  Captured captured(Capture::kByHand);
  captured.options.readers = readers;
  captured.options.page_rows = 4;
  captured.start();
  for (int i = 0; i < 6; ++i) {
    captured.execute("INSERT INTO dbo.orders VALUES (" + std::to_string(i) + ", N'a')");
  }
  captured.capture();
  test::sqlserver::Fault fault;
  fault.pattern = "FROM \\[cdc\\]\\.\\[dbo_orders_CT\\] WHERE";
  SECTION("backwards") {
    fault.rewrite = [](auto& rowset) { std::reverse(rowset.rows.begin(), rowset.rows.end()); };
  }
  SECTION("the last two changed") {
    fault.rewrite = [](auto& rowset) { std::swap(rowset.rows[2], rowset.rows[3]); };
  }
  SECTION("one of them twice") {
    fault.rewrite = [](auto& rowset) { rowset.rows[2] = rowset.rows[1]; };
  }
  SECTION("on the second page") {
    fault.skip = 1;
    fault.rewrite = [](auto& rowset) { std::swap(rowset.rows[0], rowset.rows[1]); };
  }
  SECTION("from behind the window") {
    fault.rewrite = test::sqlserver::bytes_in("__$start_lsn", std::string(10, '\x7F'));
  }
  captured.server().faults().add(fault);
  CHECK(kind_of_failure(captured) == ErrorKind::kOperator);
  CHECK(captured.lines_read == 0);
}

TEST_CASE("a dropped capture instance, a restored and another database are told apart") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  Captured captured(Capture::kByHand);
  captured.start();
  captured.execute("INSERT INTO dbo.orders VALUES (1, N'one')");
  captured.capture();
  captured.read();
  SECTION("dropped") {
    captured.execute(
        "EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'orders', "
        "@capture_instance = N'all'");
    captured.execute("INSERT INTO dbo.lines VALUES (1, N'one', 1)");
    captured.capture();
    CHECK(kind_of_failure(captured) != ErrorKind::kFenced);
  }
  SECTION("restored") {
    const auto backup = captured.server().backup();
    captured.execute("INSERT INTO dbo.orders VALUES (2, N'two')");
    captured.capture();
    captured.read();
    captured.server().restore(backup);
    CHECK_THROWS_AS(captured.resume(), Error);
  }
}

TEST_CASE("what is missing is named with the statement that makes it") {
  if (!test::needs_the_double(kDoubleDoes)) {
    return;
  }
  SqlServerDouble server;
  server.execute("CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY)");
  SystemClock clock;
  Options options;
  options.connection_string = server.connection_string(HEADGATE_TDSODBC);
  options.tables = {"dbo.orders"};
  SqlServerSource source(options, clock, make_logger("test"));
  const auto remedy = [&] {
    for (const Finding& finding : source.check({})) {
      if (finding.level == Finding::Level::kError) {
        return finding.remedy;
      }
    }
    return std::string();
  };
  CHECK(remedy().find("sp_cdc_enable_db") != std::string::npos);
  server.execute("EXEC sys.sp_cdc_enable_db");
  CHECK(remedy().find(
            "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'orders'") !=
        std::string::npos);
}

}  // namespace
}  // namespace headgate::source::sqlserver
