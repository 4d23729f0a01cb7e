// `headgate check` with a SQL Server as its source: every point that fails is named with the T-SQL
// that mends it, that T-SQL does mend it, and nothing is said about a sound setup.

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "support/daemon.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/temp_dir.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;

namespace {

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

// A database with captured tables, and a pipeline that reads it into a file.
class Setup {
 public:
  Setup() {
    config.pipeline = "shop";
    config.source_type = "sqlserver";
    config.source_dsn = server.connection_string(HEADGATE_TDSODBC);
    config.tables = {"dbo.orders", "dbo.lines"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
    config.more = "snapshot: { mode: never }\n";
    server.set_capture(CaptureMode::kManual);
    server.execute(
        "CREATE TABLE dbo.orders (id int NOT NULL PRIMARY KEY, note nvarchar(50) NULL);"
        "CREATE TABLE dbo.lines (id int NOT NULL PRIMARY KEY, n int NULL)");
  }

  void enable() {
    server.execute("EXEC sys.sp_cdc_enable_db");
    for (const std::string name : {"orders", "lines"}) {
      server.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'" +
                     name + "', @role_name = NULL");
    }
    capture();
  }
  void capture() {
    server.capture();
    server.write_idle_row();
  }
  // Somebody who has what `grants` say, and no more.
  void log_in_as_reader(const std::string& grants = {}) {
    server.execute(
        "CREATE LOGIN [read]]er] WITH PASSWORD = 'Read_1'; CREATE USER [read]]er] FOR LOGIN "
        "[read]]er];" +
        grants);
    std::string& dsn = config.source_dsn;
    dsn.replace(dsn.find("UID=sa"), 6, "UID=read]er");
    dsn.replace(dsn.find("PWD=Double_1"), 12, "PWD=Read_1");
  }
  RunResult check(const std::vector<std::string>& options = {}) {
    std::vector<std::string> command{"check"};
    command.insert(command.end(), options.begin(), options.end());
    last = Daemon(folder, config).command(command);
    return last;
  }
  // The remedies of the points with this mark whose text has `words`; all must be found in pairs.
  std::string remedy(const std::string& mark, const std::string& words) const {
    const std::vector<std::string> lines = lines_of(last.out);
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
      if (lines[i].starts_with(mark + " ") && says(lines[i], words)) {
        return lines[i + 1].substr(std::min<std::size_t>(6, lines[i + 1].size()));
      }
    }
    return "(nothing says " + words + ")\n" + last.out + last.err;
  }
  std::size_t count(const std::string& mark) const {
    const std::vector<std::string> lines = lines_of(last.out);
    return static_cast<std::size_t>(
        std::count_if(lines.begin(), lines.end(),
                      [&](const std::string& line) { return line.starts_with(mark + " "); }));
  }

  TempDir folder;
  SqlServerDouble server;
  PipelineConfig config;
  RunResult last;
};

}  // namespace

TEST_CASE("a sound setup has nothing but good points, and is not changed by the check") {
  Setup setup;
  setup.enable();
  setup.server.forget_statements();
  const RunResult result = setup.check();
  INFO(result.out << result.err);
  CHECK(result.status->code == kExitOk);
  CHECK(setup.count("FAIL") == 0);
  CHECK(setup.count("warn") == 0);
  CHECK(says(result.out, "SQL Server 16.0.4135.4, Developer Edition"));
  CHECK(says(result.out, "change data capture is on in database shop"));
  CHECK(says(result.out, "captured up to"));
  CHECK(says(result.out, "clean-up keeps changes for 3 d"));
  CHECK(says(result.out, "commit times are of time zone UTC, as the server says"));
  for (const auto& statement : setup.server.statements()) {
    const bool reads = statement.text.starts_with("SELECT") || statement.text.starts_with("SET");
    CAPTURE(statement.text);
    CHECK(reads);
  }
}

TEST_CASE("--apply carries a database without change data capture to one that is captured") {
  Setup setup;
  setup.config.tables = {"dbo.orders", "dbo.lines", "dbo.it's [odd]]"};
  setup.server.execute("CREATE TABLE dbo.[it's [odd]]]]] (id int NOT NULL PRIMARY KEY)");
  setup.check();
  CHECK(setup.last.status->code == kExitOperator);
  CHECK(setup.remedy("FAIL", "change data capture is off in database shop") ==
        "USE [shop]; EXEC sys.sp_cdc_enable_db; (as sysadmin); then enable the tables");
  CHECK(setup.server.value("SELECT is_cdc_enabled FROM sys.databases WHERE name = 'shop'") == "0");

  setup.check({"--apply"});
  INFO(setup.last.out << setup.last.err);
  CHECK(says(setup.last.out, "run   source: EXEC sys.sp_cdc_enable_db;"));
  CHECK(says(setup.last.out, "@source_name = N'it''s [odd]]', @role_name = NULL;"));
  CHECK(setup.server.value("SELECT COUNT(*) FROM cdc.change_tables") == "3");
  // What is left is nobody's to mend: the capture process must come by.
  CHECK(says(setup.last.out, "the capture process has never run"));
  setup.capture();
  CHECK(setup.check().status->code == kExitOk);
}

TEST_CASE("versions and editions that cannot capture are named before anything else is asked") {
  Setup setup;
  const auto traits = [&](int major, int edition, const std::string& name) {
    setup.server.change_traits([&](auto& server_traits) {
      server_traits.major_version = major;
      server_traits.engine_edition = edition;
      server_traits.edition = name;
    });
    setup.check();
    CHECK(setup.last.status->code == kExitOperator);
    CHECK(setup.count("FAIL") == 1);
  };
  traits(12, 3, "Enterprise Edition (64-bit)");
  CHECK(setup.remedy("FAIL", "is older than SQL Server 2016 SP1") == "upgrade the server");
  traits(16, 4, "Express Edition (64-bit)");
  CHECK(says(setup.remedy("FAIL", "change data capture is off"), "move to the Standard"));
  traits(16, 6, "SQL Azure");
  CHECK(says(setup.remedy("FAIL", "captures no changes"), "name a SQL Server"));
  // Azure's services say 12.0 whatever they are.
  traits(12, 5, "SQL Azure");
  CHECK(setup.remedy("FAIL", "change data capture is off") ==
        "EXEC sys.sp_cdc_enable_db; (as db_owner); then enable the tables");
}

TEST_CASE("tables that are missing, written otherwise or left out are told apart") {
  Setup setup;
  setup.enable();
  setup.server.execute(
      "CREATE TABLE dbo.later (id int NOT NULL PRIMARY KEY); CREATE TABLE dbo.more (id int NOT "
      "NULL "
      "PRIMARY KEY)");
  setup.config.tables = {"dbo.orders", "dbo.Lines", "dbo.nowhere", "dbo.later", "dbo.m*"};
  setup.check();
  INFO(setup.last.out);
  CHECK(setup.last.status->code == kExitOperator);
  CHECK(setup.count("FAIL") == 3);
  CHECK(says(setup.remedy("FAIL", "no table dbo.Lines, but dbo.lines"), "letter by letter"));
  CHECK(says(setup.remedy("FAIL", "table dbo.nowhere does not exist, or dbo may not see it"),
             "correct `tables`"));
  CHECK(setup.remedy("FAIL", "table dbo.later is not captured") ==
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'later', @role_name "
        "= NULL;");
  CHECK(setup.remedy("warn", "not followed: dbo.more") ==
        "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'more', @role_name "
        "= NULL;");
}

TEST_CASE("what a first copy needs is checked, and what is missing named") {
  Setup setup;
  setup.enable();
  setup.config.more.clear();
  CHECK(setup.check().status->code == kExitOk);

  setup.server.execute("ALTER DATABASE shop SET ALLOW_SNAPSHOT_ISOLATION OFF");
  setup.log_in_as_reader("GRANT SELECT ON SCHEMA::[cdc] TO [read]]er];");
  setup.check();
  INFO(setup.last.out << setup.last.err);
  CHECK(setup.last.status->code == kExitOperator);
  const std::string allow = setup.remedy("FAIL", "snapshot isolation is not allowed");
  CHECK(allow == "ALTER DATABASE [shop] SET ALLOW_SNAPSHOT_ISOLATION ON;");
  const std::string see = setup.remedy("FAIL", "may not see where in the log");
  CHECK(see == "USE [master]; GRANT VIEW SERVER STATE TO [read]]er];");
  const std::string read = setup.remedy("FAIL", "which the first copy needs");
  CHECK(says(read, "GRANT SELECT ON [dbo].[orders] TO [read]]er];"));
  for (const std::string& statement : {allow, see, read}) {
    setup.server.execute(statement);
  }
  CHECK(setup.check().status->code == kExitOk);
}

TEST_CASE("what a copy without locks may wait for is said, and what locks do") {
  Setup setup;
  setup.server.execute("CREATE TABLE dbo.loose (a int NULL)");
  setup.enable();
  setup.server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'loose', @role_name = "
      "NULL");
  setup.capture();
  setup.config.tables = {"dbo.*"};
  setup.config.more.clear();
  CHECK(setup.check().status->code == kExitOk);
  INFO(setup.last.out << setup.last.err);
  CHECK(says(setup.remedy("warn", "change all the time: dbo.loose"), "snapshot.locking: brief"));

  setup.config.more = "snapshot: { locking: brief, lock_timeout: 250ms }\n";
  setup.log_in_as_reader(
      "GRANT SELECT ON SCHEMA::[cdc] TO [read]]er]; GRANT VIEW SERVER STATE TO [read]]er]; GRANT "
      "SELECT ON [dbo].[orders] TO [read]]er]; GRANT SELECT ON [dbo].[lines] TO [read]]er]; GRANT "
      "SELECT ON [dbo].[loose] TO [read]]er];");
  CHECK(setup.check().status->code == kExitOk);  // no more than to read them
  CHECK(
      says(setup.last.out, "locked against writers while a copy point begins, for 250 ms at most"));
  CHECK(!says(setup.last.out, "change all the time"));
}

TEST_CASE("what a login lacks is named with the grant, properly quoted, and the grant is enough") {
  Setup setup;
  setup.enable();
  setup.log_in_as_reader();
  setup.check();
  INFO(setup.last.out << setup.last.err);
  CHECK(setup.last.status->code == kExitOperator);
  const std::string grant = setup.remedy("FAIL", "user read]er may not read [cdc].[change_tables]");
  CHECK(grant == "GRANT SELECT ON SCHEMA::[cdc] TO [read]]er];");
  CHECK(setup.check({"--apply"}).status->code == kExitOperator);  // it may not grant to itself
  setup.server.execute(grant);

  setup.check();
  INFO(setup.last.out << setup.last.err);
  CHECK(setup.last.status->code == kExitOk);
  const std::string see_agent = setup.remedy("warn", "whether SQL Server Agent runs");
  const std::string see_jobs = setup.remedy("warn", "the capture and clean-up jobs");
  const std::string see_scans = setup.remedy("warn", "the capture process's scans");
  CHECK(see_agent == "USE [master]; GRANT VIEW SERVER STATE TO [read]]er];");
  CHECK(says(see_jobs, "USE [msdb]; IF USER_ID(N'read]er') IS NULL CREATE USER [read]]er]"));
  CHECK(see_scans == "GRANT VIEW DATABASE STATE TO [read]]er];");
  for (const std::string& statement : {see_agent, see_scans}) {
    setup.server.execute(statement);
  }
  for (const std::string name : {"cdc_jobs", "sysjobactivity", "syssessions"}) {
    const std::string each = "GRANT SELECT ON dbo." + name + " TO [read]]er];";
    CHECK(says(see_jobs, each));
    setup.server.execute_in("msdb", each);
  }
  setup.check();
  INFO(setup.last.out);
  CHECK(setup.count("warn") == 0);
}

TEST_CASE("a change table that alone is closed to the login is named") {
  Setup setup;
  setup.enable();
  setup.log_in_as_reader(
      "GRANT SELECT ON cdc.change_tables TO [read]]er]; GRANT SELECT ON cdc.captured_columns TO "
      "[read]]er]; GRANT SELECT ON cdc.index_columns TO [read]]er]; GRANT SELECT ON "
      "cdc.lsn_time_mapping TO [read]]er]; GRANT SELECT ON cdc.ddl_history TO [read]]er]; GRANT "
      "SELECT ON cdc.dbo_orders_CT TO [read]]er]");
  setup.check();
  INFO(setup.last.out << setup.last.err);
  CHECK(setup.remedy("FAIL", "user read]er may not read [cdc].[dbo_lines_CT]") ==
        "GRANT SELECT ON SCHEMA::[cdc] TO [read]]er];");
}

TEST_CASE("an Agent, a capture job or a clean-up that stands still is a failing point") {
  Setup setup;
  setup.enable();
  SECTION("Agent") {
    setup.server.set_agent_running(false);
    setup.check();
    CHECK(setup.last.status->code == kExitUnavailable);
    CHECK(says(setup.remedy("FAIL", "SQL Server Agent is stopped"), "start the service"));
  }
  SECTION("capture job, which --apply starts") {
    setup.server.execute("EXEC sys.sp_cdc_stop_job @job_type = N'capture'");
    setup.check();
    CHECK(setup.last.status->code == kExitUnavailable);
    CHECK(setup.remedy("FAIL", "the capture job does not run") ==
          "EXEC sys.sp_cdc_start_job @job_type = N'capture';");
    CHECK(setup.check({"--apply"}).status->code == kExitOk);
    CHECK(setup.count("FAIL") == 0);
  }
  SECTION("clean-up job") {
    setup.server.execute("EXEC sys.sp_cdc_drop_job @job_type = N'cleanup'");
    CHECK(setup.check().status->code == kExitOk);
    CHECK(setup.remedy("warn", "there is no clean-up job") ==
          "EXEC sys.sp_cdc_add_job @job_type = N'cleanup';");
  }
  SECTION("a short retention") {
    setup.server.execute("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 90");
    CHECK(setup.check().status->code == kExitOk);
    CHECK(setup.remedy("warn", "clean-up keeps changes for 1 h 30 min only") ==
          "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 4320;");
  }
}

TEST_CASE("columns that are captured wrongly or break the application are warned of") {
  Setup setup;
  setup.enable();
  setup.server.execute(
      "CREATE TABLE dbo.wide (id int NOT NULL PRIMARY KEY, body nvarchar(max) NULL);"
      "CREATE TABLE dbo.gated (id int NOT NULL PRIMARY KEY);"
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'wide', @role_name = "
      "NULL;"
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'gated', @role_name = "
      "N'gate [x]'");
  setup.capture();
  setup.config.tables = {"dbo.*"};
  setup.log_in_as_reader("GRANT SELECT ON SCHEMA::cdc TO [read]]er]");
  setup.check();
  INFO(setup.last.out);
  CHECK(setup.last.status->code == kExitOk);
  CHECK(setup.remedy("warn", "more than 65536 bytes") ==
        "EXEC sys.sp_configure N'max text repl size (B)', -1; RECONFIGURE;");
  CHECK(setup.remedy("warn", "is no member of role gate [x]") ==
        "ALTER ROLE [gate [x]]] ADD MEMBER [read]]er];");
}

TEST_CASE("how near a stopped pipeline is to what clean-up takes is told for each sink") {
  Setup setup;
  setup.enable();
  {
    Daemon daemon(setup.folder, setup.config);
    daemon.start();
    daemon.wait_ready();
    CHECK(daemon.terminate().ok());
  }
  setup.server.execute("EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 1");
  setup.server.execute("INSERT INTO dbo.orders VALUES (1, N'one')");
  setup.capture();
  CHECK(setup.check().status->code == kExitOk);
  CHECK_FALSE(says(setup.last.out, "changes will be lost"));
  // The server's clock goes on by ten minutes, and ours does not.
  const auto stamp = setup.server.value(
      "SELECT DATEDIFF(second, CONVERT(datetime2(0), '2000-01-01T00:00:00'), SYSUTCDATETIME())");
  setup.server.set_clock([seconds = std::stoll(stamp)] {
    constexpr std::int32_t kDayOf2000 = 730'119;
    const std::int64_t later = seconds + 600;
    sqlserver::Moment moment;
    moment.day = kDayOf2000 + static_cast<std::int32_t>(later / 86400);
    moment.ticks = later % 86400 * sqlserver::kTicksPerSecond;
    return moment;
  });
  setup.capture();
  setup.check();
  INFO(setup.last.out);
  CHECK(setup.last.status->code == kExitOperator);
  CHECK(says(setup.remedy("FAIL", "changes will be lost when clean-up runs next"),
             "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 2;"));
  CHECK(says(setup.last.out, "(sink file)"));
}

TEST_CASE("the points are there for scripts, too") {
  Setup setup;
  setup.enable();
  setup.server.set_agent_running(false);
  setup.check({"--json"});
  CHECK(says(setup.last.out, "\"level\":\"FAIL\""));
  CHECK(says(setup.last.out, "SQL Server Agent is stopped"));
}
