#include "sqlserver.hpp"

#include <sys/resource.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sql.h>
#include <sqlext.h>

#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"
#include "demo/pg_session.hpp"
#include "demo/subprocess.hpp"
#include "demo/throwaway_cluster.hpp"
#include "headgate_process.hpp"
#include "machine.hpp"
#include "statistics.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_database.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_until.hpp"

namespace headgate::bench {

namespace {

constexpr const char* kVariable = "HEADGATE_TEST_SQLSERVER";
constexpr auto kPatience = std::chrono::minutes(10);

// The double as a process that the tests' fixture then knows by its connection string alone.
class ServerProcess {
 public:
  ServerProcess() {
    if (std::getenv(kVariable) != nullptr) {
      return;
    }
    demo::SpawnOptions options;
    options.argv = {HEADGATE_SQLSERVER_DOUBLE};
    options.out = demo::Output::pipe();
    process_ = std::make_unique<demo::Subprocess>(options);
    std::string line;
    std::array<char, 1> byte{};
    while (::read(process_->out_fd(), byte.data(), 1) == 1 && byte[0] != '\n') {
      line += byte[0];
    }
    ::setenv(kVariable, line.c_str(), 1);
  }
  ~ServerProcess() {
    if (process_) {
      ::unsetenv(kVariable);
    }
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

 private:
  std::unique_ptr<demo::Subprocess> process_;  // null: somebody named a server
};

constexpr const char* kColumns =
    "id bigint NOT NULL PRIMARY KEY, grp int NULL, ts datetime2(3) NULL, payload nvarchar(64) NULL";

// Rows of 99 characters, as those of the other workloads.
std::string insert_of(std::uint64_t from, std::uint64_t count) {
  std::string sql = "INSERT INTO dbo.t4 VALUES ";
  for (std::uint64_t id = from; id < from + count; ++id) {
    sql += fmt::format("{}({}, {}, '2026-01-01T12:34:56.789', N'{:0>64}')", id == from ? "" : ",",
                       id, id % 1000, id * 7919);
  }
  return sql;
}

struct Work {
  std::string name;
  std::uint64_t change_rows;
  std::function<void(test::SqlServerDatabase&)> prepare;
  std::function<void(test::SqlServerDatabase&)> change;
};

constexpr std::uint64_t kBatch = 500;

void fill(test::SqlServerDatabase& database, std::uint64_t rows) {
  for (std::uint64_t id = 1; id <= rows; id += kBatch) {
    database.execute(insert_of(id, std::min(kBatch, rows + 1 - id)));
  }
}

std::vector<Work> works(std::uint64_t rows) {
  constexpr std::uint64_t kUpdated = 2'000;
  constexpr std::uint64_t kUpdatesInOne = 10;
  return {{"inserts, 500 in a transaction", rows, [](auto&) {},
           [rows](auto& database) { fill(database, rows); }},
          {"updates, 10 in a transaction", rows, [](auto& database) { fill(database, kUpdated); },
           [rows](auto& database) {
             std::uint64_t key = 1;
             for (std::uint64_t done = 0; done < rows / 2; done += kUpdatesInOne) {
               std::string batch = "BEGIN TRAN; ";
               for (std::uint64_t i = 0; i < kUpdatesInOne; ++i) {
                 key = key * 7919 % kUpdated;
                 batch += fmt::format(
                     "UPDATE dbo.t4 SET grp = grp + 1, ts = '2026-02-03T00:00:00' WHERE id = {}; ",
                     key + 1);
                 key += i + 1;
               }
               database.execute(batch + "COMMIT");
             }
           }}};
}

// ---- the floor

void check(SQLRETURN code, const char* what) {
  if (!SQL_SUCCEEDED(code)) {
    throw std::runtime_error(std::string("the driver loop cannot ") + what);
  }
}

double thread_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

SQLPOINTER number(std::size_t value) {
  return reinterpret_cast<SQLPOINTER>(value);  // how ODBC passes an attribute's number
}

// Fetches the change table's rows into bound arrays, of the types in which the daemon asks for
// them, and looks at none. Returns what that took of this thread's CPU, and how many came.
std::pair<double, std::uint64_t> fetch_all(const std::string& connection_string) {
  odbc::ConnectOptions options;
  options.connection_string = connection_string;
  options.role = "bench";
  odbc::Connection connection(options);
  SQLHSTMT statement = SQL_NULL_HSTMT;
  check(SQLAllocHandle(SQL_HANDLE_STMT, connection.get(), &statement), "make a statement");
  constexpr std::size_t kRowsInArray = 128;
  struct Column {
    SQLSMALLINT type;
    std::size_t width;
    std::vector<char> bytes{};
    std::vector<SQLLEN> lengths{};
  };
  std::vector<Column> columns = {{SQL_C_BINARY, 10}, {SQL_C_SBIGINT, 8},  {SQL_C_BINARY, 10},
                                 {SQL_C_SBIGINT, 8}, {SQL_C_BINARY, 128}, {SQL_C_SBIGINT, 8},
                                 {SQL_C_SBIGINT, 8}, {SQL_C_CHAR, 64},    {SQL_C_WCHAR, 130}};
  SQLULEN fetched = 0;
  check(SQLSetStmtAttr(statement, SQL_ATTR_ROW_ARRAY_SIZE, number(kRowsInArray), 0), "set arrays");
  check(SQLSetStmtAttr(statement, SQL_ATTR_ROWS_FETCHED_PTR, &fetched, 0), "count rows");
  const double before = thread_cpu();
  const std::string sql =
      "SELECT [__$start_lsn], [__$command_id], [__$seqval], [__$operation], [__$update_mask], "
      "[id], [grp], [ts], [payload] FROM [cdc].[dbo_t4_CT] ORDER BY [__$start_lsn], "
      "[__$command_id], [__$seqval], [__$operation]";
  std::string text = sql;
  check(SQLExecDirect(statement, reinterpret_cast<SQLCHAR*>(text.data()), SQL_NTS), "select");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    Column& column = columns[i];
    column.bytes.resize(column.width * kRowsInArray);
    column.lengths.resize(kRowsInArray);
    check(SQLBindCol(statement, static_cast<SQLUSMALLINT>(i + 1), column.type, column.bytes.data(),
                     static_cast<SQLLEN>(column.width), column.lengths.data()),
          "bind");
  }
  std::uint64_t rows = 0;
  for (SQLRETURN code = SQLFetch(statement); code != SQL_NO_DATA; code = SQLFetch(statement)) {
    check(code, "fetch");
    rows += fetched;
  }
  const double after = thread_cpu();
  SQLFreeHandle(SQL_HANDLE_STMT, statement);
  return {after - before, rows};
}

// ---- the daemon

const std::string kSum = "SELECT count(*), sum(id), sum(grp) FROM ";

std::string joined(const std::vector<std::string>& values) {
  return fmt::format("{}", fmt::join(values, " "));
}

std::string joined(const demo::TextRows& rows) {
  std::vector<std::string> values;
  for (const auto& value : rows.at(0)) {
    values.push_back(value.value_or("0"));
  }
  return joined(values);
}

// One workload's changes, waiting behind the positions of two sinks that have none of them.
class Stand {
 public:
  Stand(const Work& work, demo::ThrowawayCluster& cluster, const std::string& name)
      : cluster_(cluster), base_database_("base_" + name), base_file_(folder_.path("base.db")) {
    database_.create_captured("t4", kColumns);
    work.prepare(database_);
    database_.wait_captured();
    demo::PgSession(cluster.conninfo()).execute("CREATE DATABASE " + base_database_);
    // With the rows that are there, so that updates find theirs.
    lay_base(test::sqlite_sink("sink", base_file_));
    lay_base(test::postgres_sink("sink", cluster.conninfo(base_database_)));
    test::SqliteFile(base_file_).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    work.change(database_);
    database_.wait_captured();
    target_ = LSN::parse(
        database_.value("SELECT CONVERT(varchar(30), MAX([__$start_lsn]), 1) FROM cdc.dbo_t4_CT"));
    wanted_ = joined(database_.query("SELECT COUNT(*), SUM(id), SUM(grp) FROM dbo.t4").at(0));
  }

  void run_sqlite(SqlServerFigure& figure) {
    const std::string path = folder_.path("run.db");
    for (const std::string suffix : {"", "-wal", "-shm"}) {
      std::filesystem::remove(path + suffix);
    }
    std::filesystem::copy_file(base_file_, path);
    run(test::sqlite_sink("sink", path), figure);
    test::SqliteFile file(path);
    compare(joined(file.query(kSum + "t4")), figure);
  }

  void run_postgres(SqlServerFigure& figure) {
    demo::PgSession server(cluster_.conninfo());
    server.execute("DROP DATABASE IF EXISTS run");
    server.execute("CREATE DATABASE run TEMPLATE " + base_database_);
    server.execute("CHECKPOINT");
    run(test::postgres_sink("sink", cluster_.conninfo("run")), figure);
    demo::PgSession sink(cluster_.conninfo("run"));
    compare(joined(sink.query(kSum + "dbo.t4")), figure);
  }

  void run_driver(SqlServerFigure& figure) {
    const TimePoint start = clock_.now();
    const auto [cpu, rows] = fetch_all(database_.connection_string());
    figure.seconds.push_back(std::chrono::duration<double>(clock_.now() - start).count());
    figure.cpu_seconds.push_back(cpu);
    figure.change_rows = rows;
  }

 private:
  HeadgateSetup setup(const std::string& sink) const {
    HeadgateSetup setup;
    setup.other_source = fmt::format("type: sqlserver, dsn: \"{}\"", database_.connection_string());
    setup.tables = "dbo.t4";
    setup.sinks = {sink};
    return setup;
  }

  void lay_base(const std::string& sink) {
    HeadgateProcess daemon(folder_, "base", setup(sink));
    daemon.start();
    test::wait_until("the copy", kPatience, [&] { return daemon.ready(); });
    daemon.terminate();
  }

  void run(const std::string& sink, SqlServerFigure& figure) {
    HeadgateProcess daemon(folder_, "run", setup(sink));
    const TimePoint start = clock_.now();
    daemon.start();
    test::wait_until("the changes", kPatience, [&] {
      const auto applied = daemon.applied_lsn();
      return applied && target_ <= *applied;
    });
    const ProcessUsage usage = usage_of(daemon.pid());
    figure.seconds.push_back(std::chrono::duration<double>(clock_.now() - start).count());
    figure.cpu_seconds.push_back(usage.cpu_seconds);
    figure.rss_peak_bytes =
        std::max(figure.rss_peak_bytes, static_cast<double>(usage.rss_peak_bytes));
    daemon.terminate();
  }

  void compare(const std::string& found, SqlServerFigure& figure) const {
    if (found != wanted_) {
      figure.refused = fmt::format("the sink has {} where the source has {}", found, wanted_);
    }
  }

  SystemClock clock_;
  demo::ThrowawayCluster& cluster_;
  test::TempDir folder_;
  test::SqlServerDatabase database_;
  std::string base_database_;
  std::string base_file_;
  LSN target_;
  std::string wanted_;
};

}  // namespace

double SqlServerFigure::rows_per_cpu_second() const {
  const double cpu = median(cpu_seconds);
  return cpu == 0 ? 0 : static_cast<double>(change_rows) / cpu;
}

const SqlServerFigure* SqlServerReport::of(const std::string& workload,
                                           const std::string& contender) const {
  for (const SqlServerFigure& figure : figures) {
    if (figure.workload == workload && figure.contender == contender) {
      return &figure;
    }
  }
  return nullptr;
}

SqlServerReport measure_sqlserver(const SqlServerOptions& options) {
  const bool named = std::getenv(kVariable) != nullptr;
  const ServerProcess server;
  demo::ThrowawayCluster cluster;
  SqlServerReport report;
  report.server = named ? fmt::format("the server in {}", kVariable)
                        : "an emulation of SQL Server, in a process of its own";
  int number_of_work = 0;
  for (const Work& work : works(options.rows)) {
    Stand stand(work, cluster, std::to_string(++number_of_work));
    SqlServerFigure sqlite{work.name, "headgate > sqlite", work.change_rows};
    SqlServerFigure postgres{work.name, "headgate > postgres", work.change_rows};
    SqlServerFigure driver{work.name, "driver loop", work.change_rows};
    for (unsigned i = 0; i < options.repeats; ++i) {
      stand.run_sqlite(sqlite);
      stand.run_postgres(postgres);
      stand.run_driver(driver);
    }
    for (auto* figure : {&sqlite, &postgres, &driver}) {
      report.figures.push_back(std::move(*figure));
    }
  }
  return report;
}

}  // namespace headgate::bench
