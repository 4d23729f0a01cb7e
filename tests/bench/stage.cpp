#include "stage.hpp"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "core/lsn.hpp"
#include "demo/pg_session.hpp"
#include "headgate_process.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

namespace headgate::bench {

namespace {

constexpr Duration kPatience = std::chrono::minutes(20);

// As limits.md has them: no checkpoint within a run, no vacuum beside it. Time-outs are off since a
// run may be long.
demo::ClusterOptions cluster() {
  return {.settings = {{"shared_buffers", "1GB"},
                       {"max_wal_size", "16GB"},
                       {"checkpoint_timeout", "1h"},
                       {"autovacuum", "off"},
                       {"wal_sender_timeout", "10min"},
                       {"wal_receiver_timeout", "10min"},
                       {"max_replication_slots", "60"},
                       {"max_wal_senders", "60"},
                       {"max_logical_replication_workers", "8"},
                       // Else the start of a subscription waits up to 5 s.
                       {"wal_retrieve_retry_interval", "100ms"}},
          .tcp = true};
}

}  // namespace

Stage::Stage() : source_(cluster()), sink_(cluster()) {}

std::string Stage::server_version() {
  return "PostgreSQL " + demo::PgSession(source_.conninfo()).value("SHOW server_version");
}

PreparedWorkload::PreparedWorkload(Stage& stage, Workload workload)
    : stage_(stage), workload_(std::move(workload)) {
  demo::PgSession(stage_.source().conninfo()).execute("CREATE DATABASE " + workload_.name);
  demo::PgSession(stage_.sink().conninfo()).execute("CREATE DATABASE " + sink_template());
  workload_.create(source());
  demo::PgSession(source()).execute(
      "CREATE TABLE bench_marker (id integer PRIMARY KEY, round bigint NOT NULL);"
      "INSERT INTO bench_marker VALUES (1, 0)");
  tables_ = columns_of(source());
  make_first_copy();
  workload_.change(source());
  changed_again();
}

PreparedWorkload::~PreparedWorkload() {
  try {
    drop_slot(first_slot());
    drop_sink_database(sink_template());
    demo::PgSession(stage_.source().conninfo())
        .execute("DROP DATABASE " + workload_.name + " WITH (FORCE)");
    std::filesystem::remove(file_template());
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: not removed: {}\n", error.what());
  }
}

std::string PreparedWorkload::file_template() const {
  return stage_.folder().path(sink_template() + ".db");
}

void PreparedWorkload::make_first_copy() {
  HeadgateProcess daemon(
      stage_.folder(), "first",
      {.source = source_over_tcp(),
       .slot = first_slot(),
       .sinks = {test::postgres_sink("server", stage_.sink().conninfo(sink_template())),
                 test::sqlite_sink("file", file_template())}});
  daemon.start();
  test::wait_until("the first copy", kPatience, [&] { return daemon.ready(); });
  daemon.terminate();
  // For the planner's statistics; the file, so that it is complete without its log.
  demo::PgSession session(stage_.sink().conninfo(sink_template()));
  session.query("VACUUM ANALYZE");
  test::SqliteFile(file_template()).execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

void PreparedWorkload::changed_again() {
  mark_end();
  expected_ = postgres_fingerprints(source(), tables_);
}

void PreparedWorkload::mark_end() {
  demo::PgSession session(source());
  session.execute("BEGIN; UPDATE bench_marker SET round = round + 1");
  target_ = LSN::parse(session.value("SELECT pg_current_wal_insert_lsn()")).to_postgres();
  session.execute("COMMIT");
}

void PreparedWorkload::copy_slot(const std::string& name) {
  demo::PgSession(source()).query("SELECT pg_copy_logical_replication_slot($1, $2)",
                                  {first_slot(), name});
}

void PreparedWorkload::drop_slot(const std::string& name) {
  demo::PgSession session(source());
  test::wait_until("slot " + name + " to be free", std::chrono::minutes(1), [&] {
    try {
      session.query(
          "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
          "WHERE slot_name = $1",
          {name});
      return true;
    } catch (const demo::PgError& error) {
      if (error.sqlstate() != "55006") {  // its reader has not gone yet
        throw;
      }
      return false;
    }
  });
}

void PreparedWorkload::copy_sink_database(const std::string& name) {
  drop_sink_database(name);
  demo::PgSession(stage_.sink().conninfo())
      .execute(fmt::format("CREATE DATABASE {} TEMPLATE {}", name, sink_template()));
  if (!workload_.sink_sql.empty()) {
    demo::PgSession(stage_.sink().conninfo(name)).execute(workload_.sink_sql);
  }
}

void PreparedWorkload::drop_sink_database(const std::string& name) {
  demo::PgSession(stage_.sink().conninfo())
      .execute(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name));
}

void PreparedWorkload::copy_sink_file(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", ".headgate.lock"}) {
    std::filesystem::remove(path + suffix);
  }
  std::filesystem::copy_file(file_template(), path);
}

}  // namespace headgate::bench
