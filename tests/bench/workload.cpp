#include "workload.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "demo/subprocess.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/pgbench.hpp"
#include "support/temp_dir.hpp"

namespace headgate::bench {

namespace {

constexpr Duration kPatience = std::chrono::minutes(30);

std::string run_pgbench(const std::string& conninfo, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), demo::ThrowawayCluster::program("pgbench"));
  arguments.push_back(conninfo);
  const demo::RunResult result = demo::run({.argv = std::move(arguments)}, kPatience);
  if (!result.ok()) {
    throw std::runtime_error("pgbench: " + result.err);
  }
  return result.out;
}

std::uint64_t updates_of(std::uint64_t rows) {
  return std::max<std::uint64_t>(rows / 10, 4);
}

std::uint64_t tpcb_transactions(std::uint64_t rows) {
  return std::max<std::uint64_t>(rows * 6 / 100, 4);
}

int tpcb_scale(std::uint64_t rows) {
  return static_cast<int>(std::clamp<std::uint64_t>(rows / 100'000, 1, 100));
}

void create_t4(const std::string& conninfo, std::uint64_t rows) {
  demo::PgSession session(conninfo);
  session.execute(t4_sql());
  session.execute(fill_t4_sql(rows));
}

void create_tpcb(const std::string& conninfo, std::uint64_t rows) {
  test::Pgbench(conninfo).create_tables(tpcb_scale(rows));
}

}  // namespace

std::string t4_sql() {
  return "CREATE TABLE t4 (id bigint PRIMARY KEY, grp integer, ts timestamptz, payload text);";
}

std::string fill_t4_sql(std::uint64_t rows) {
  return fmt::format(
      "INSERT INTO t4 SELECT i, i % 1000, now(), md5(i::text) || md5((i + 1)::text) "
      "FROM generate_series(1, {}) AS i;",
      rows);
}

Workload bulk_insert(std::uint64_t rows) {
  return {.name = "w1",
          .title = fmt::format("one transaction of {} inserted rows", rows),
          .unit = "rows",
          .units = static_cast<double>(rows),
          .create = [](const std::string& conninfo) { create_t4(conninfo, 0); },
          .change =
              [rows](const std::string& conninfo) {
                demo::PgSession(conninfo).execute(fill_t4_sql(rows));
              }};
}

Workload first_copy(std::uint64_t rows) {
  const std::uint64_t copied = rows * 5;
  return {.name = "first_copy",
          .title = fmt::format("the first copy of {} rows", copied),
          .unit = "rows",
          .units = static_cast<double>(copied),
          .create = [](const std::string& conninfo) { create_t4(conninfo, 0); },
          .change =
              [copied](const std::string& conninfo) {
                demo::PgSession session(conninfo);
                session.execute(fill_t4_sql(copied));
                session.query("VACUUM ANALYZE");
              }};
}

Workload single_updates(std::uint64_t rows) {
  const std::uint64_t updates = updates_of(rows);
  return {.name = "w2",
          .title = fmt::format("{} transactions of one update", updates / 4 * 4),
          .unit = "transactions",
          .units = static_cast<double>(updates / 4 * 4),
          .create = [updates](const std::string& conninfo) { create_t4(conninfo, updates); },
          .change =
              [updates](const std::string& conninfo) {
                const test::TempDir folder;
                const std::string script = folder.write(
                    "update.sql", fmt::format("\\set id random(1, {})\n"
                                              "UPDATE t4 SET grp = grp + 1, ts = now() "
                                              "WHERE id = :id;\n",
                                              updates));
                run_pgbench(conninfo,
                            {"--no-vacuum", "--client=4", "--jobs=2", "--random-seed=7",
                             fmt::format("--transactions={}", updates / 4), "--file=" + script});
              }};
}

Workload tpcb(std::uint64_t rows) {
  const std::uint64_t transactions = tpcb_transactions(rows);
  return {.name = "w3",
          .title = fmt::format("TPC-B, {} transactions, scale {}", transactions / 4 * 4,
                               tpcb_scale(rows)),
          .unit = "transactions",
          .units = static_cast<double>(transactions / 4 * 4),
          .create = [rows](const std::string& conninfo) { create_tpcb(conninfo, rows); },
          .change =
              [transactions](const std::string& conninfo) {
                run_pgbench(conninfo, {"--no-vacuum", "--client=4", "--jobs=2", "--random-seed=7",
                                       fmt::format("--transactions={}", transactions / 4)});
              }};
}

Workload idle_table(std::uint64_t rows) {
  return {.name = "live",
          .title = "one transaction at a time",
          .unit = "transactions",
          .create = [rows](const std::string& conninfo) { create_t4(conninfo, updates_of(rows)); },
          .change = [](const std::string&) {}};
}

Workload idle_tpcb(std::uint64_t rows) {
  return {.name = "rates",
          .title = "TPC-B at a share of the source's own rate",
          .unit = "transactions",
          .create =
              [rows](const std::string& conninfo) {
                create_tpcb(conninfo, rows);
                demo::PgSession(conninfo).execute(
                    "CREATE TABLE probe (id integer PRIMARY KEY, n bigint NOT NULL);"
                    "INSERT INTO probe VALUES (1, 0)");
              },
          .change = [](const std::string&) {}};
}

Workload one_change() {
  return {.name = "start",
          .title = "from start to the first applied change",
          .unit = "transactions",
          .units = 1,
          .create = [](const std::string& conninfo) { create_t4(conninfo, 1000); },
          .change =
              [](const std::string& conninfo) {
                demo::PgSession(conninfo).execute("UPDATE t4 SET grp = grp + 1 WHERE id = 1");
              }};
}

std::string order_keeping_triggers() {
  std::string sql =
      "CREATE FUNCTION bench_never() RETURNS trigger LANGUAGE plpgsql AS "
      "'BEGIN RETURN NULL; END';";
  for (const auto& [table, condition] : {std::pair{"pgbench_accounts", "NEW.aid < 0"},
                                         {"pgbench_branches", "NEW.bid < 0"},
                                         {"pgbench_tellers", "NEW.tid < 0"},
                                         {"pgbench_history", "NEW.tid < 0"}}) {
    sql += fmt::format(
        "CREATE TRIGGER bench_never AFTER INSERT OR UPDATE ON {0} FOR EACH ROW WHEN ({1}) "
        "EXECUTE FUNCTION bench_never();"
        "ALTER TABLE {0} ENABLE ALWAYS TRIGGER bench_never;",
        table, condition);
  }
  return sql;
}

double tpcb_rate(const std::string& conninfo, unsigned seconds) {
  const std::string out =
      run_pgbench(conninfo, {"--no-vacuum", "--client=4", "--jobs=2", "--random-seed=7",
                             fmt::format("--time={}", seconds)});
  const auto at = out.find("tps = ");
  if (at == std::string::npos) {
    throw std::runtime_error("pgbench did not say its rate: " + out);
  }
  return std::stod(out.substr(at + std::string("tps = ").size()));
}

}  // namespace headgate::bench
