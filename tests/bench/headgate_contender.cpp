#include <optional>
#include <utility>

#include "contender.hpp"
#include "headgate_process.hpp"
#include "machine.hpp"
#include "postgres_run.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/tcp_gate.hpp"

namespace headgate::bench {

namespace {

constexpr const char* kRunName = "run_headgate";

class IntoPostgres final : public PostgresRun {
 public:
  IntoPostgres(PreparedWorkload& prepared, const HeadgateToPostgresOptions& options)
      : PostgresRun(prepared, kRunName),
        gate_(make_gate(prepared, options)),
        daemon_(prepared.stage().folder(), kRunName,
                {.source = prepared.source_over_tcp(),
                 .slot = name(),
                 .sinks = {test::postgres_sink("server", sink_address(options))},
                 .decoding_work_mem = options.decoding_work_mem}) {}

  void start() override { daemon_.start(); }
  std::uint64_t applied() override { return daemon_.applied(); }
  CpuShares cpu() override {
    return {{"daemon", usage_of(daemon_.pid()).cpu_seconds},
            {"walsender", walsender_cpu(prepared(), name())},
            {"sink", sink_server_cpu(prepared(), name())}};
  }
  std::uint64_t rss_peak_bytes() override { return usage_of(daemon_.pid()).rss_peak_bytes; }
  std::uint64_t rss_bytes() override { return usage_of(daemon_.pid()).rss_bytes; }
  void stop() override { daemon_.terminate(); }

 private:
  static std::unique_ptr<test::TcpGate> make_gate(PreparedWorkload& prepared,
                                                  const HeadgateToPostgresOptions& options) {
    if (!options.round_trip) {
      return nullptr;
    }
    auto gate = std::make_unique<test::TcpGate>(prepared.stage().sink().port());
    const auto half = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double, std::milli>(*options.round_trip / 2));
    gate->slow(test::Way::kToServer, half);
    gate->slow(test::Way::kToClient, half);
    return gate;
  }

  std::string sink_address(const HeadgateToPostgresOptions& options) const {
    std::string address = prepared().stage().sink().tcp_conninfo(name());
    if (gate_) {
      address = "host=127.0.0.1 port=" + std::to_string(gate_->port()) + " dbname=" + name() +
                " user=postgres";
    }
    return address + (options.synchronous_commit ? "" : " options='-c synchronous_commit=off'");
  }

  std::unique_ptr<test::TcpGate> gate_;  // null: none
  HeadgateProcess daemon_;
};

class HeadgateToPostgres final : public Contender {
 public:
  explicit HeadgateToPostgres(HeadgateToPostgresOptions options) : options_(std::move(options)) {}

  std::string name() const override { return options_.name; }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return std::make_unique<IntoPostgres>(prepared, options_);
  }

 private:
  HeadgateToPostgresOptions options_;
};

class IntoSqlite final : public Run {
 public:
  explicit IntoSqlite(PreparedWorkload& prepared)
      : prepared_(prepared),
        path_(prepared.stage().folder().path("run.db")),
        slot_(prepared),
        slot_watch_(prepared, kRunName),
        daemon_(prepared.stage().folder(), kRunName,
                {.source = prepared.source_over_tcp(),
                 .slot = kRunName,
                 .sinks = {test::sqlite_sink("file", path_)}}) {
    prepared.copy_sink_file(path_);
  }

  void start() override { daemon_.start(); }
  std::uint64_t applied() override { return daemon_.applied(); }
  bool streaming() override { return slot_watch_.active(); }
  CpuShares cpu() override {
    return {{"daemon", usage_of(daemon_.pid()).cpu_seconds},
            {"walsender", walsender_cpu(prepared_, kRunName)}};
  }
  std::uint64_t rss_peak_bytes() override { return usage_of(daemon_.pid()).rss_peak_bytes; }
  std::uint64_t rss_bytes() override { return usage_of(daemon_.pid()).rss_bytes; }
  void stop() override { daemon_.terminate(); }
  std::string look(const std::string& sql, std::uint64_t number) override {
    if (!reader_) {
      reader_.emplace(path_);
    }
    std::string with_number = sql;
    if (const auto at = sql.find("$1"); at != std::string::npos) {
      with_number.replace(at, 2, std::to_string(number));
    }
    return reader_->value(with_number);
  }
  Fingerprints found() override { return sqlite_fingerprints(path_, prepared_.tables()); }

 private:
  // Dropped after the daemon has gone.
  class SlotCopy {
   public:
    explicit SlotCopy(PreparedWorkload& prepared) : prepared_(prepared) {
      prepared.copy_slot(kRunName);
    }
    ~SlotCopy() {
      try {
        prepared_.drop_slot(kRunName);
      } catch (const std::exception&) {  // its database goes with the stage
      }
    }
    SlotCopy(const SlotCopy&) = delete;
    SlotCopy& operator=(const SlotCopy&) = delete;

   private:
    PreparedWorkload& prepared_;
  };

  PreparedWorkload& prepared_;
  std::string path_;
  SlotCopy slot_;
  SlotWatch slot_watch_;
  HeadgateProcess daemon_;
  std::optional<test::SqliteFile> reader_;
};

class HeadgateToSqlite final : public Contender {
 public:
  std::string name() const override { return "headgate > sqlite"; }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return std::make_unique<IntoSqlite>(prepared);
  }
};

}  // namespace

std::unique_ptr<Contender> headgate_to_postgres(HeadgateToPostgresOptions options) {
  return std::make_unique<HeadgateToPostgres>(std::move(options));
}

std::unique_ptr<Contender> headgate_to_sqlite() {
  return std::make_unique<HeadgateToSqlite>();
}

}  // namespace headgate::bench
