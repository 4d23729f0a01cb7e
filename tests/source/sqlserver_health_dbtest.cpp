// What the SQL Server source warns of before it costs data, and how it reads the server's clock:
// against the double, through FreeTDS's real driver.

#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <spdlog/sinks/ostream_sink.h>

#include "base/clock.hpp"
#include "source/sqlserver/alarms.hpp"
#include "source/sqlserver/capture_health.hpp"
#include "source/sqlserver/server_check.hpp"
#include "source/sqlserver/sqlserver_source.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::source::sqlserver {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;
using test::SqlServerDouble;

// Stands still until it is moved.
class HandClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return WallTime{}; }
  void pass(Duration time) { now_ += time; }

 private:
  TimePoint now_{std::chrono::hours(1000)};
};

// A logger whose lines can be read: "warning: text".
class Lines {
 public:
  Lines() {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    log = std::make_shared<spdlog::logger>("test", sink);
    log->set_pattern("%l: %v");
    log->set_level(spdlog::level::info);
  }
  // Those since the last call.
  std::vector<std::string> take() {
    std::vector<std::string> lines;
    std::string line;
    std::istringstream written(text_.str());
    while (std::getline(written, line)) {
      lines.push_back(line);
    }
    text_.str({});
    return lines;
  }

  Logger log;

 private:
  std::ostringstream text_;
};

bool says(const std::string& text, const std::string& words) {
  INFO(text);
  return text.find(words) != std::string::npos;
}

sys_seconds at(int y, unsigned m, unsigned d, int hour, int minute = 0) {
  return std::chrono::sys_days{std::chrono::year{y} / static_cast<int>(m) / static_cast<int>(d)} +
         std::chrono::hours(hour) + std::chrono::minutes(minute);
}

test::sqlserver::Moment moment_of(sys_seconds time) {
  constexpr std::int64_t kDayOf1970 = 719'162;
  const auto day = std::chrono::floor<std::chrono::days>(time);
  test::sqlserver::Moment moment;
  moment.day = static_cast<std::int32_t>(day.time_since_epoch().count() + kDayOf1970);
  moment.ticks = std::chrono::seconds(time - day).count() * test::sqlserver::kTicksPerSecond;
  return moment;
}

// ---- alarms

TEST_CASE("an alarm is logged when it begins, grows, lasts and ends, and not at every look") {
  HandClock clock;
  Lines lines;
  Alarms alarms(clock, lines.log);
  const auto look = [&](Urgency urgency, Duration later = 1min) {
    clock.pass(later);
    alarms.tell("disk", urgency, "it fills", "empty it");
    return lines.take();
  };
  using Said = std::vector<std::string>;
  CHECK(look(Urgency::kNone) == Said{});
  CHECK(look(Urgency::kWatch) == Said{"warning: it fills remedy=\"empty it\""});
  for (int minute = 1; minute < 359; ++minute) {
    CHECK(look(Urgency::kWatch) == Said{});
  }
  CHECK(look(Urgency::kWatch).empty());
  CHECK(look(Urgency::kWatch).size() == 1);  // six hours later
  CHECK(look(Urgency::kAct) == Said{"error: it fills remedy=\"empty it\""});
  CHECK(look(Urgency::kAct, 59min).empty());
  CHECK(look(Urgency::kAct).size() == 1);
  CHECK(look(Urgency::kLastCall).size() == 1);
  CHECK(look(Urgency::kLastCall, 9min).empty());
  CHECK(look(Urgency::kLastCall).size() == 1);
  REQUIRE(alarms.current().size() == 1);
  CHECK(alarms.current()[0].level == Finding::Level::kError);

  SECTION("what comes and goes with each look is one alarm") {
    for (int i = 0; i < 4; ++i) {
      CHECK(look(Urgency::kNone).empty());
      CHECK(look(Urgency::kNone).empty());
      CHECK(look(Urgency::kLastCall, 1s).empty());
    }
    CHECK(alarms.current().size() == 1);
  }
  SECTION("its end is said once") {
    CHECK(look(Urgency::kNone).empty());
    CHECK(look(Urgency::kNone).empty());
    const auto said = look(Urgency::kNone);
    REQUIRE(said.size() == 1);
    CHECK(says(said[0], "info: source: recovered topic=\"disk\" after=\""));
    CHECK(alarms.current().empty());
    CHECK(look(Urgency::kNone).empty());
  }
}

TEST_CASE("times are told in the two largest units") {
  CHECK(in_words(0s) == "0 s");
  CHECK(in_words(59s) == "59 s");
  CHECK(in_words(5h + 12min + 3s) == "5 h 12 min");
  CHECK(in_words(72h) == "3 d");
  CHECK(in_words(73h + 59min) == "3 d 1 h");
  CHECK(in_words(-5s) == "0 s");
}

// ---- the watch

// A database with one captured table, whose clock and whose watch's clock are one.
class Watched {
 public:
  explicit Watched(int engine_edition = 3) {
    server.change_traits([&](auto& traits) { traits.engine_edition = engine_edition; });
    set_clock();
    server.set_capture(test::CaptureMode::kManual);
    server.execute(
        "EXEC sys.sp_cdc_enable_db; CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY);"
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'orders', "
        "@role_name = NULL");
    commit();
    options.connection_string = server.connection_string(HEADGATE_TDSODBC);
  }

  // The capture process looks at the log, as it does every few seconds.
  void scan() {
    server.capture();
    server.capture();
  }
  void commit() {
    server.execute("INSERT INTO dbo.orders VALUES (" + std::to_string(++rows_) + ")");
    scan();
  }
  LSN end() const { return LSN::from_bytes(server.max_lsn()); }
  void pass(std::chrono::seconds time) {
    time_ += time;
    clock.pass(time);
    set_clock();
  }
  // A look is due. What it logged.
  std::vector<std::string> look(const LSN& position) {
    clock.pass(options.gap_check_interval);
    connect();
    findings = health->look(*connection, position);
    return lines.take();
  }
  void connect() {
    if (!connection || connection->lost()) {
      connection = std::make_unique<odbc::Connection>(session_options(options));
    }
    if (!health) {
      health = std::make_unique<CaptureHealth>(options, clock, lines.log);
    }
  }
  void log_in_as_reader(const std::string& grants) {
    server.execute(
        "CREATE LOGIN reader WITH PASSWORD = 'Read_1'; CREATE USER reader FOR LOGIN reader;" +
        grants);
    std::string& text = options.connection_string;
    text.replace(text.find("UID=sa"), 6, "UID=reader");
    text.replace(text.find("PWD=Double_1"), 12, "PWD=Read_1");
  }

  SqlServerDouble server;
  HandClock clock;
  Lines lines;
  Options options;
  std::unique_ptr<odbc::Connection> connection;
  std::unique_ptr<CaptureHealth> health;
  Findings findings;

 private:
  void set_clock() {
    server.set_clock([time = time_] { return moment_of(time); });
  }

  sys_seconds time_ = at(2025, 6, 2, 8);
  int rows_ = 0;
};

TEST_CASE("nothing is said of a server where all is well") {
  Watched watched;
  for (int i = 0; i < 5; ++i) {
    watched.pass(10min);
    watched.commit();
    CHECK(watched.look(watched.end()).empty());
    CHECK(watched.findings.empty());
  }
}

TEST_CASE("looks are far apart, whoever asks") {
  Watched watched;
  watched.look(watched.end());
  watched.server.forget_statements();
  watched.server.set_agent_running(false);
  watched.clock.pass(watched.options.gap_check_interval - 1s);
  CHECK(watched.health->look(*watched.connection, watched.end()).empty());
  CHECK(watched.server.statements().empty());
  watched.clock.pass(1s);
  CHECK(watched.health->look(*watched.connection, watched.end()).size() == 1);
}

TEST_CASE("a stopped Agent is told at once, and so is its coming back") {
  Watched watched;
  CHECK(watched.look(watched.end()).empty());
  watched.server.set_agent_running(false);
  const auto said = watched.look(watched.end());
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "warning: source: SQL Server Agent is stopped"));
  REQUIRE(watched.findings.size() == 1);
  CHECK(says(watched.findings[0].remedy, "start the service"));
  CHECK(watched.look(watched.end()).empty());
  // It grows worse while the log is not read.
  watched.pass(6h);
  const auto worse = watched.look(watched.end());
  REQUIRE(worse.size() == 1);
  CHECK(says(worse[0], "error: source: SQL Server Agent is stopped"));

  watched.server.set_agent_running(true);
  watched.scan();
  std::vector<std::string> recovered;
  for (int i = 0; i < 6; ++i) {
    for (const std::string& line : watched.look(watched.end())) {
      recovered.push_back(line);
    }
  }
  REQUIRE(recovered.size() == 1);
  CHECK(says(recovered[0], "recovered"));
  CHECK(watched.findings.empty());
}

TEST_CASE("a capture job that is stopped or missing is told with what starts it") {
  Watched watched;
  SECTION("stopped") {
    watched.server.execute("EXEC sys.sp_cdc_stop_job @job_type = N'capture'");
    const auto said = watched.look(watched.end());
    REQUIRE(said.size() == 1);
    CHECK(says(said[0], "the capture job does not run"));
    CHECK(watched.findings[0].remedy == "EXEC sys.sp_cdc_start_job @job_type = N'capture';");
  }
  SECTION("missing") {
    watched.server.execute("EXEC sys.sp_cdc_drop_job @job_type = N'capture'");
    CHECK(watched.look(watched.end()).empty());  // somebody reads the log: replication does it, too
    watched.pass(6min);
    const auto said = watched.look(watched.end());
    REQUIRE(said.size() == 1);
    CHECK(says(said[0], "no capture job"));
    CHECK(watched.findings[0].remedy == "EXEC sys.sp_cdc_add_job @job_type = N'capture';");
  }
}

TEST_CASE("a capture process that hangs or lags is told, with its last error") {
  Watched watched;
  SECTION("it does not look at the log any more") {
    watched.pass(4min);
    CHECK(watched.look(watched.end()).empty());
    watched.server.add_capture_error(2628);
    watched.pass(90s);
    const auto said = watched.look(watched.end());
    REQUIRE(said.size() == 1);
    CHECK(says(said[0], "has not looked at the log for 5 min 30 s"));
    CHECK(says(said[0], "number 2628, 1 min 30 s ago"));
  }
  SECTION("it reads all the time and comes no nearer") {
    watched.server.execute("INSERT INTO dbo.orders VALUES (100)");
    watched.server.execute("INSERT INTO dbo.orders VALUES (101)");
    watched.server.capture(1);
    watched.server.set_scanning(true);
    watched.pass(59min);
    CHECK(watched.look(watched.end()).empty());
    watched.pass(1min);
    const auto said = watched.look(watched.end());
    REQUIRE(said.size() == 1);
    CHECK(says(said[0], "warning: source: capturing is 1 h behind the log"));
    CHECK(says(watched.findings[0].remedy, "@maxtrans"));
  }
  SECTION("a long session in an idle database is no lag") {
    watched.scan();
    watched.server.set_scanning(true);
    watched.pass(30min);
    CHECK(watched.look(watched.end()).empty());
  }
}

TEST_CASE("changes that clean-up is about to take are told with the time that is left") {
  Watched watched;
  const LSN position = watched.end();
  watched.commit();
  watched.commit();
  // Retention is three days.
  const auto after = [&](std::chrono::seconds time) {
    watched.pass(time);
    watched.scan();
    return watched.look(position);
  };
  CHECK(after(30min).empty());
  auto said = after(31min);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "warning: source: changes will be lost in 2 d 22 h"));
  CHECK(says(said[0], "clean-up keeps 3 d"));
  said = after(5h);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "error: source: changes will be lost in 2 d 17 h"));
  said = after(72h - 6h - 1min - 5h - 12min);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "error: source: changes will be lost in 5 h 12 min"));
  CHECK(says(watched.findings[0].remedy,
             "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 8640;"));
  CHECK(says(watched.findings[0].what, position.to_string()));
  said = after(5h + 13min);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "lost when clean-up runs next"));

  // The sinks have caught up.
  std::size_t lines = 0;
  for (int i = 0; i < 5; ++i) {
    lines += watched.look(watched.end()).size();
  }
  CHECK(lines == 1);
  CHECK(watched.findings.empty());
}

TEST_CASE("a short retention is told in its own proportions, not in hours") {
  Watched watched;
  watched.server.execute("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 60");
  const LSN position = watched.end();
  watched.commit();
  std::vector<std::string> words;
  for (int minute = 0; minute < 59; ++minute) {
    watched.pass(1min);
    watched.scan();
    for (const std::string& line : watched.look(position)) {
      words.push_back(line.substr(0, line.find(':')) + " " + line.substr(line.find("lost in"), 14));
    }
  }
  CHECK(words == std::vector<std::string>{"warning lost in 30 min", "error lost in 15 min",
                                          "error lost in 6 min:", "error lost in 1 min:"});
}

TEST_CASE("an idle database loses nothing, however long it is idle") {
  Watched watched;
  for (int day = 0; day < 10; ++day) {
    watched.pass(24h);
    watched.scan();
    CHECK(watched.look(watched.end()).empty());
  }
  // The first change after it is not late, though the position's commit is old.
  const LSN position = watched.end();
  watched.commit();
  CHECK(watched.look(position).empty());
  CHECK(watched.findings.empty());
}

TEST_CASE("what the login may not see is said once, and is no alarm") {
  Watched watched;
  watched.log_in_as_reader("GRANT SELECT ON SCHEMA::cdc TO reader");
  auto said = watched.look(watched.end());
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "info: source: this login may not see"));
  CHECK(says(said[0], "SQL Server Agent, the capture and clean-up jobs"));
  watched.server.set_agent_running(false);
  watched.pass(6h);
  CHECK(watched.look(watched.end()).empty());
  CHECK(watched.findings.empty());

  // What it may see still works: how far the sinks are behind, only not until when that goes well.
  const LSN position = watched.end();
  watched.commit();
  watched.pass(61min);
  said = watched.look(position);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "how long it is kept is not known"));

  // A right that was granted meanwhile shows.
  watched.server.execute("GRANT VIEW SERVER STATE TO reader");
  bool told = false;
  for (const std::string& line : watched.look(position)) {
    told = told || line.find("SQL Server Agent is stopped") != std::string::npos;
  }
  CHECK(told);
}

// No Agent and no msdb: its scheduler is seen through its sessions, and nothing is guessed.
TEST_CASE("Azure SQL Database is watched as far as it shows itself") {
  constexpr int kAzureDatabase = 5;
  Watched watched(kAzureDatabase);
  watched.server.set_agent_running(false);
  CHECK(watched.look(watched.end()).empty());
  const LSN position = watched.end();
  watched.commit();
  watched.pass(66h + 48min);
  watched.scan();
  const auto said = watched.look(position);
  REQUIRE(said.size() == 1);
  CHECK(says(said[0], "changes will be lost in 5 h 12 min"));
  CHECK(watched.server.count_statements("msdb") == 0);
  CHECK(watched.server.count_statements("dm_server_services") == 0);
  watched.pass(2h);
  CHECK(says(watched.look(watched.end()).at(0), "has not looked at the log for 2 h"));
}

TEST_CASE("a look that fails is no news, and stops nothing") {
  Watched watched;
  watched.server.set_agent_running(false);
  CHECK(watched.look(watched.end()).size() == 1);
  const std::string views = GENERATE("dm_server_services", "dm_server_services|sysjobactivity",
                                     "cdc_jobs", "dm_cdc_log_scan_sessions", "lsn_time_mapping");
  CAPTURE(views);
  test::sqlserver::Fault fault;
  fault.pattern = views;
  fault.times = test::sqlserver::kAlways;
  SECTION("with a deadlock") {
    fault.error = test::sqlserver::SqlError(1205, "Transaction was deadlocked.", 13);
  }
  SECTION("with the connection") {
    fault.drop = test::sqlserver::Drop::kBeforeReply;
  }
  watched.server.faults().add(fault);
  for (int i = 0; i < 5; ++i) {
    watched.look(watched.end());
    CHECK(watched.findings.size() == 1);  // the Agent is as it was, for all that is known
  }
  watched.server.faults().clear();
  CHECK(watched.look(watched.end()).empty());
  CHECK(watched.findings.size() == 1);
}

TEST_CASE("the source's health has the warnings, by the position that is durable in all sinks") {
  Watched watched;
  SystemClock clock;
  watched.options.tables = {"dbo.*"};
  watched.options.spill_folder = "/tmp";
  watched.options.poll_interval = 10ms;
  SqlServerSource source(watched.options, clock, watched.lines.log);
  const History history = source.prepare({});
  const Position start{watched.end(), history};
  source.cdc().open({start, false});
  watched.commit();
  watched.pass(70h);
  watched.scan();
  while (source.cdc().fetch({}, clock.now() + 100ms).transactions.empty()) {
  }
  // Read, but not durable in the sinks.
  Findings warnings = source.health().warnings;
  REQUIRE(warnings.size() == 1);
  CHECK(says(warnings[0].what, "changes will be lost in 2 h"));
  CHECK(warnings[0].level == Finding::Level::kError);

  SqlServerSource caught_up(watched.options, clock, watched.lines.log);
  caught_up.prepare({});
  caught_up.cdc().open({start, false});
  caught_up.cdc().acknowledge({watched.end(), history});
  CHECK(caught_up.health().warnings.empty());

  // A connection that is gone is not made anew beside the stream, which stands on it.
  const int connections = watched.server.connections();
  watched.server.drop_connections();
  CHECK_THROWS_AS(caught_up.health(), Error);
  CHECK_THROWS_AS(caught_up.health(), Error);
  CHECK(watched.server.connections() == connections);
}

// ---- the clock

// Commits at given instants, by a server in a zone, are read months later.
class Dated {
 public:
  explicit Dated(const std::string& zone, int major_version = 16) {
    server.change_traits([&](auto& traits) {
      traits.time_zone = *test::sqlserver::time_zone_named(zone);
      traits.major_version = major_version;
    });
    set_clock(at(2025, 1, 10, 12));
    server.set_capture(test::CaptureMode::kManual);
    server.execute(
        "EXEC sys.sp_cdc_enable_db; CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY);"
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'orders', "
        "@role_name = NULL");
    server.capture();
    server.write_idle_row();
    options.connection_string = server.connection_string(HEADGATE_TDSODBC);
    options.tables = {"dbo.*"};
    options.spill_folder = "/tmp";
    options.poll_interval = 10ms;
    start_ = LSN::from_bytes(server.max_lsn());
  }

  void set_clock(sys_seconds utc) {
    server.set_clock([utc] { return moment_of(utc); });
  }
  void commit(sys_seconds utc) {
    set_clock(utc);
    server.execute("INSERT INTO dbo.orders VALUES (" + std::to_string(++rows_) + ")");
  }
  // Commit times in the order of delivery, which is checked to be that of the commits.
  std::vector<sys_seconds> read() {
    set_clock(at(2025, 12, 10, 12));
    server.capture();
    SqlServerSource source(options, clock, make_logger("test"));
    source.prepare({});
    source.cdc().open({{start_, History{}}, false});
    std::vector<sys_seconds> times;
    const TimePoint give_up = clock.now() + 20s;
    while (static_cast<int>(times.size()) < rows_ && clock.now() < give_up) {
      for (const TransactionPtr& transaction :
           source.cdc().fetch({}, clock.now() + 100ms).transactions) {
        if (!transaction->changes().empty()) {
          times.push_back(std::chrono::round<std::chrono::seconds>(transaction->commit_time()));
          CHECK(transaction->changes().front().data[0].bytes() == std::to_string(times.size()));
        }
      }
    }
    return times;
  }
  Findings check() {
    SqlServerSource source(options, clock, make_logger("test"));
    return source.check({});
  }

  SqlServerDouble server;
  SystemClock clock;
  Options options;

 private:
  LSN start_;
  int rows_ = 0;
};

const std::vector<sys_seconds> kThroughTheYear = {
    at(2025, 2, 1, 12),   at(2025, 3, 30, 0, 59), at(2025, 3, 30, 1, 1),  at(2025, 7, 1, 12),
    at(2025, 10, 25, 23), at(2025, 10, 26, 2),    at(2025, 11, 30, 0, 30)};

TEST_CASE("commit times are right on both sides of a change of summer time") {
  const auto [version, configured] =
      GENERATE(table<int, std::string>({{16, ""},  // it names its zone
                                        {13, "W. Europe Standard Time"},
                                        {13, "w. europe standard time"},
                                        {13, "Europe/Berlin"},
                                        {16, "Europe/Paris"}}));
  CAPTURE(version, configured);
  Dated dated("W. Europe Standard Time", version);
  dated.options.time_zone = configured;
  for (const sys_seconds time : kThroughTheYear) {
    dated.commit(time);
  }
  CHECK(dated.read() == kThroughTheYear);
}

TEST_CASE("a server that does not name its zone is read by its present offset, and that is said") {
  Dated dated("W. Europe Standard Time", 15);
  dated.commit(at(2025, 2, 1, 12));
  dated.commit(at(2025, 7, 1, 12));
  CHECK(dated.read() == std::vector{at(2025, 2, 1, 12), at(2025, 7, 1, 13)});
  bool said = false;
  for (const Finding& finding : dated.check()) {
    said = said || (finding.level == Finding::Level::kWarning &&
                    finding.remedy.find("source.time_zone") != std::string::npos);
  }
  CHECK(said);
}

// The clock goes back from 03:00 to 02:00, so local times repeat and go backwards; nothing but
// those times may notice.
TEST_CASE("the hour that autumn repeats does not touch the order of commits") {
  const std::string configured = GENERATE("", "Europe/Berlin");
  CAPTURE(configured);
  Dated dated("W. Europe Standard Time");
  dated.options.time_zone = configured;
  const std::vector<sys_seconds> commits = {at(2025, 10, 26, 0, 10), at(2025, 10, 26, 0, 50),
                                            at(2025, 10, 26, 1, 10), at(2025, 10, 26, 1, 50),
                                            at(2025, 10, 26, 2, 10)};
  for (const sys_seconds time : commits) {
    dated.commit(time);
  }
  const auto times = dated.read();
  REQUIRE(times.size() == commits.size());
  // The second half carries times of the first.
  CHECK(times == std::vector{commits[0], commits[1], commits[2] - 1h, commits[3] - 1h, commits[4]});
}

TEST_CASE("a time zone that nobody knows, or that the server's clock contradicts, is told") {
  Dated dated("W. Europe Standard Time");
  SECTION("unknown") {
    dated.options.time_zone = "Mars/Olympus";
    try {
      dated.check();
      FAIL("it was accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kOperator);
      CHECK(says(error.what(), "source.time_zone"));
    }
  }
  SECTION("another one") {
    dated.options.time_zone = GENERATE("Tokyo Standard Time", "Asia/Tokyo");
    bool said = false;
    for (const Finding& finding : dated.check()) {
      said = said || (finding.level == Finding::Level::kWarning &&
                      finding.what.find("does not stand in") != std::string::npos &&
                      finding.what.find("8 h off") != std::string::npos);
    }
    CHECK(said);
  }
  SECTION("a quote in its name stays in its literal") {
    dated.options.time_zone = "x' OR 1=1; --";
    CHECK_THROWS_AS(dated.check(), Error);
  }
}

}  // namespace
}  // namespace headgate::source::sqlserver
