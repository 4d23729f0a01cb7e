#include "support/pgbench.hpp"

#include <stdexcept>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {

using demo::ThrowawayCluster;

void Pgbench::create_tables(int scale) {
  const demo::RunResult made =
      demo::run({.argv = {ThrowawayCluster::program("pgbench"), "--initialize", "--quiet",
                          "--scale", std::to_string(scale), conninfo_}},
                std::chrono::minutes(2));
  if (!made.ok()) {
    throw std::runtime_error("pgbench --initialize: " + made.err);
  }
}

void Pgbench::start(int clients, int transactions_per_second, const std::string& log_path) {
  demo::SpawnOptions options;
  // Without --no-vacuum it would empty pgbench_history first, and with it one side of the
  // invariant.
  options.argv = {ThrowawayCluster::program("pgbench"),
                  "--no-vacuum",
                  "--client",
                  std::to_string(clients),
                  "--rate",
                  std::to_string(transactions_per_second),
                  "--time",
                  "3600",
                  conninfo_};
  options.out = demo::Output::file(log_path);
  options.err = demo::Output::file(log_path);
  load_ = std::make_unique<demo::Subprocess>(options);
}

void Pgbench::stop() {
  const bool was_running = load_ && load_->running();
  load_.reset();
  if (!was_running) {
    throw std::runtime_error("pgbench ended before it was told to");
  }
  demo::PgSession session(conninfo_);
  wait_until("pgbench's sessions to end", std::chrono::seconds(30), [&] {
    return session.value(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
               "'pgbench'") == "0";
  });
}

std::vector<std::string> Pgbench::tables() {
  return {"public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_tellers",
          "public.pgbench_history"};
}

std::string Pgbench::invariant() {
  return "SELECT 'pgbench sums', a.total AS accounts, t.total AS tellers, b.total AS branches, "
         "h.total AS history "
         "FROM (SELECT COALESCE(SUM(abalance), 0) AS total FROM pgbench_accounts) a, "
         "(SELECT COALESCE(SUM(tbalance), 0) AS total FROM pgbench_tellers) t, "
         "(SELECT COALESCE(SUM(bbalance), 0) AS total FROM pgbench_branches) b, "
         "(SELECT COALESCE(SUM(delta), 0) AS total FROM pgbench_history) h "
         "WHERE a.total <> t.total OR a.total <> b.total OR a.total <> h.total";
}

}  // namespace headgate::test
