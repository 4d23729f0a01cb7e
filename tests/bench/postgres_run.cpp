#include "postgres_run.hpp"

#include <utility>

#include <fmt/format.h>

#include "machine.hpp"

namespace headgate::bench {

namespace {

double cpu_of_listed(const std::string& conninfo, const std::string& sql,
                     const std::string& parameter) {
  double sum = 0;
  for (const demo::TextRow& row : demo::PgSession(conninfo).query(sql, {parameter})) {
    if (row[0]) {
      sum += usage_of(static_cast<pid_t>(std::stol(*row[0]))).cpu_seconds;
    }
  }
  return sum;
}

}  // namespace

double walsender_cpu(PreparedWorkload& prepared, const std::string& slot) {
  return cpu_of_listed(prepared.source(),
                       "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", slot);
}

// Asked from another database.
double sink_server_cpu(PreparedWorkload& prepared, const std::string& database) {
  return cpu_of_listed(prepared.stage().sink().conninfo(),
                       "SELECT pid FROM pg_stat_activity WHERE datname = $1", database);
}

SlotWatch::SlotWatch(PreparedWorkload& prepared, std::string slot)
    : session_(prepared.source()), slot_(std::move(slot)) {}

bool SlotWatch::active() {
  active_ =
      active_ || session_.value("SELECT active FROM pg_replication_slots WHERE slot_name = $1",
                                {slot_}) == "t";
  return active_;
}

PostgresRun::Copies::Copies(PreparedWorkload& owner, const std::string& copy) {
  owner.copy_sink_database(copy);
  owner.copy_slot(copy);
}

PostgresRun::PostgresRun(PreparedWorkload& prepared, std::string name)
    : prepared_(prepared),
      name_(std::move(name)),
      copies_(prepared, name_),
      slot_watch_(prepared, name_) {}

PostgresRun::~PostgresRun() {
  try {
    close_look();
    prepared_.drop_slot(name_);
    prepared_.drop_sink_database(name_);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: not removed: {}\n", error.what());
  }
}

std::string PostgresRun::look(const std::string& sql, std::uint64_t number) {
  if (!reader_) {
    reader_ = std::make_unique<demo::PgSession>(sink());
  }
  if (looked_for_ != sql) {
    reader_->execute("DEALLOCATE ALL");
    reader_->execute("PREPARE look(bigint) AS " + sql);
    looked_for_ = sql;
  }
  return reader_->value(fmt::format("EXECUTE look({})", number));
}

Fingerprints PostgresRun::found() {
  return postgres_fingerprints(sink(), prepared_.tables());
}

}  // namespace headgate::bench
