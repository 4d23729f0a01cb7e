#include "support/application_load.hpp"

#include <chrono>

#include "demo/order_schema.hpp"
#include "demo/pg_session.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {

namespace {

constexpr double kOrdersPerSecond = 250;
constexpr int kPgbenchPerSecond = 300;

constexpr const char* kHistorySums =
    "SELECT count(*), sum(delta), sum(tid), sum(bid), sum(aid) FROM pgbench_history";

std::string joined(const demo::TextRows& rows) {
  std::string text;
  for (const auto& field : rows.front()) {
    text += field.value_or("NULL") + " ";
  }
  return text;
}

}  // namespace

ApplicationLoad::ApplicationLoad(const std::string& source_conninfo, const std::string& pgbench_log,
                                 std::uint64_t seed)
    : pgbench_(source_conninfo),
      orders_(
          {.conninfo = source_conninfo, .transactions_per_second = kOrdersPerSecond, .seed = seed}),
      pgbench_log_(pgbench_log) {
  pgbench_.create_tables();
  orders_.create_schema();
}

void ApplicationLoad::start() {
  pgbench_.start(4, kPgbenchPerSecond, pgbench_log_);
  orders_.start();
}

void ApplicationLoad::stop() {
  orders_.stop();
  pgbench_.stop();
}

void ApplicationLoad::run_for(std::uint64_t transactions) {
  const auto until = orders_.counters().committed + transactions;
  wait_until("the load to go on", std::chrono::seconds(120),
             [&] { return orders_.counters().committed >= until; });
}

std::vector<std::string> ApplicationLoad::tables() {
  std::vector<std::string> tables = demo::order_tables();
  for (const std::string& table : Pgbench::tables()) {
    tables.push_back(table);
  }
  return tables;
}

std::vector<std::string> ApplicationLoad::patterns() {
  return {"shop.*", "public.pgbench_*"};
}

MirrorReaders::MirrorReaders(const std::string& sink_conninfo, const std::string& sqlite_path) {
  for (const std::string& rule : {demo::order_invariant_postgres(), Pgbench::invariant()}) {
    readers_.push_back(std::make_unique<InvariantReader>(postgres_invariant(sink_conninfo, rule)));
  }
  for (const std::string& rule : {demo::order_invariant_sqlite(), Pgbench::invariant()}) {
    readers_.push_back(std::make_unique<InvariantReader>(sqlite_invariant(sqlite_path, rule)));
  }
}

std::string MirrorReaders::violations() const {
  std::string all;
  for (const auto& reader : readers_) {
    all += reader->violations();
  }
  return all;
}

std::uint64_t MirrorReaders::finish(std::string& last_error) {
  std::uint64_t fewest = UINT64_MAX;
  for (const auto& reader : readers_) {
    reader->stop();
    if (reader->rounds() < fewest) {
      fewest = reader->rounds();
      last_error = reader->last_error();
    }
  }
  return fewest;
}

std::string load_differences(MirrorSetup& setup) {
  std::string text = setup.differences(ApplicationLoad::tables());
  // Said again in plain SQL: pgbench_history has no key, so it is the table that a transaction
  // applied twice would double.
  const auto wanted = joined(demo::PgSession(setup.source().conninfo()).query(kHistorySums));
  const auto server = joined(demo::PgSession(setup.sink().conninfo()).query(kHistorySums));
  const auto file = joined(SqliteFile(setup.sqlite_path()).query(kHistorySums));
  if (server != wanted || file != wanted) {
    text += "pgbench_history: source " + wanted + ", PostgreSQL " + server + ", SQLite " + file;
  }
  return text;
}

}  // namespace headgate::test
