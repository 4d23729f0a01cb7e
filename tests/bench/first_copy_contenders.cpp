// Who makes a first copy of tables that are there already, while nothing changes.

#include <functional>
#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "contender.hpp"
#include "demo/pg_session.hpp"
#include "headgate_process.hpp"
#include "machine.hpp"
#include "support/daemon.hpp"

namespace headgate::bench {

namespace {

// Of the run's database, slot and files.
constexpr const char* kName = "run_first_copy";

// There is no position to speak of: all is applied, or nothing is.
class FirstCopyRun : public Run {
 public:
  explicit FirstCopyRun(PreparedWorkload& prepared) : prepared_(prepared) {}

  std::uint64_t applied() override {
    return done() ? std::numeric_limits<std::uint64_t>::max() : 0;
  }
  bool streaming() override { return false; }
  std::string look(const std::string& /*sql*/, std::uint64_t /*number*/) override { return {}; }
  Fingerprints found() override { return postgres_fingerprints(sink(), prepared_.tables()); }

 protected:
  virtual bool done() = 0;

  PreparedWorkload& prepared() const { return prepared_; }
  std::string sink() const { return prepared_.stage().sink().conninfo(kName); }

  // The workload's tables in the sink, empty and with their keys.
  void make_tables() {
    prepared_.copy_sink_database(kName);
    demo::PgSession session(sink());
    for (const auto& [table, columns] : prepared_.tables()) {
      session.execute("TRUNCATE " + table);
    }
  }
  void make_empty_database() {
    prepared_.drop_sink_database(kName);
    demo::PgSession(prepared_.stage().sink().conninfo())
        .execute(fmt::format("CREATE DATABASE {}", kName));
  }
  // For destructors.
  template <typename Remove>
  static void remove(Remove what) {
    try {
      what();
    } catch (const std::exception& error) {
      fmt::print(stderr, "bench: not removed: {}\n", error.what());
    }
  }

 private:
  PreparedWorkload& prepared_;
};

class BySubscription final : public FirstCopyRun {
 public:
  explicit BySubscription(PreparedWorkload& prepared) : FirstCopyRun(prepared) {
    make_tables();
    owner_ = std::make_unique<demo::PgSession>(sink());
  }
  ~BySubscription() override {
    remove([&] {
      owner_->execute("DROP SUBSCRIPTION IF EXISTS first_copy");
      owner_.reset();
      prepared().drop_sink_database(kName);
    });
  }

  void start() override {
    const std::string publications =
        demo::PgSession(prepared().source())
            .value("SELECT string_agg(quote_ident(pubname), ', ') FROM pg_publication");
    owner_->execute(fmt::format(
        "CREATE SUBSCRIPTION first_copy CONNECTION {} PUBLICATION {} WITH (slot_name = {})",
        demo::quote_literal(prepared().source_over_tcp()), publications, kName));
  }
  CpuShares cpu() override { return {{"sink", sink_server_cpu(prepared(), kName)}}; }
  void stop() override { owner_->execute("ALTER SUBSCRIPTION first_copy DISABLE"); }

 protected:
  bool done() override {
    return owner_->value(
               "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate NOT IN "
               "('r', 's')") == "0";
  }

 private:
  std::unique_ptr<demo::PgSession> owner_;
};

// psql on both ends, one table after the other: what a person would do by hand.
class ByPipe final : public FirstCopyRun {
 public:
  ByPipe(PreparedWorkload& prepared, bool binary) : FirstCopyRun(prepared), binary_(binary) {
    make_tables();
  }
  ~ByPipe() override {
    remove([&] { prepared().drop_sink_database(kName); });
  }

  void start() override {
    const std::string psql = demo::ThrowawayCluster::program("psql") + " -qXc 'COPY ";
    const std::string format = binary_ ? " (FORMAT binary)'" : "'";
    std::string script = "set -e; set -o pipefail;";
    for (const auto& [table, columns] : prepared().tables()) {
      script += fmt::format("{0}{1} TO STDOUT{2} '{3}' | {0}{1} FROM STDIN{2} '{4}';", psql, table,
                            format, prepared().source_over_tcp(),
                            prepared().stage().sink().tcp_conninfo(kName));
    }
    pipe_ = std::make_unique<demo::Subprocess>(
        demo::SpawnOptions{.argv = {"/bin/bash", "-c", std::move(script)}});
  }
  CpuShares cpu() override { return {}; }
  void stop() override {}

 protected:
  bool done() override { return !pipe_->running(); }

 private:
  bool binary_;
  std::unique_ptr<demo::Subprocess> pipe_;
};

class ByHeadgate final : public FirstCopyRun {
 public:
  ByHeadgate(PreparedWorkload& prepared, const std::string& method) : FirstCopyRun(prepared) {
    make_empty_database();
    daemon_ = std::make_unique<HeadgateProcess>(
        prepared.stage().folder(), kName,
        HeadgateSetup{
            .source = prepared.source_over_tcp(),
            .slot = kName,
            .sinks = {test::postgres_sink("server", prepared.stage().sink().tcp_conninfo(kName))},
            .snapshot_method = method});
  }
  ~ByHeadgate() override {
    remove([&] {
      daemon_.reset();
      prepared().drop_slot(kName);
      prepared().drop_sink_database(kName);
    });
  }

  void start() override { daemon_->start(); }
  CpuShares cpu() override {
    return {{"daemon", usage_of(daemon_->pid()).cpu_seconds},
            {"sink", sink_server_cpu(prepared(), kName)}};
  }
  std::uint64_t rss_peak_bytes() override { return usage_of(daemon_->pid()).rss_peak_bytes; }
  void stop() override { daemon_->terminate(); }

 protected:
  bool done() override { return daemon_->ready(); }

 private:
  std::unique_ptr<HeadgateProcess> daemon_;
};

class FirstCopy final : public Contender {
 public:
  FirstCopy(std::string name, std::function<std::unique_ptr<Run>(PreparedWorkload&)> make)
      : name_(std::move(name)), make_(std::move(make)) {}

  std::string name() const override { return name_; }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return make_(prepared);
  }

 private:
  std::string name_;
  std::function<std::unique_ptr<Run>(PreparedWorkload&)> make_;
};

std::unique_ptr<Contender> pipe(const std::string& name, bool binary) {
  return std::make_unique<FirstCopy>(name, [binary](PreparedWorkload& prepared) {
    return std::make_unique<ByPipe>(prepared, binary);
  });
}

std::unique_ptr<Contender> headgate(const std::string& method) {
  return std::make_unique<FirstCopy>("headgate, " + method, [method](PreparedWorkload& prepared) {
    return std::make_unique<ByHeadgate>(prepared, method);
  });
}

}  // namespace

std::vector<std::unique_ptr<Contender>> first_copies() {
  std::vector<std::unique_ptr<Contender>> contenders;
  contenders.push_back(std::make_unique<FirstCopy>("subscription", [](PreparedWorkload& prepared) {
    return std::make_unique<BySubscription>(prepared);
  }));
  contenders.push_back(headgate("bulk"));
  contenders.push_back(headgate("chunks"));
  contenders.push_back(pipe("COPY | COPY", false));
  contenders.push_back(pipe("COPY | COPY, binary", true));
  return contenders;
}

}  // namespace headgate::bench
