#include <fmt/format.h>

#include "contender.hpp"
#include "core/lsn.hpp"
#include "machine.hpp"
#include "postgres_run.hpp"

namespace headgate::bench {

namespace {

// Everything that Headgate publishes: tables without a key have a publication of their own.
std::string publications(PreparedWorkload& prepared) {
  return demo::PgSession(prepared.source())
      .value("SELECT string_agg(quote_ident(pubname), ', ') FROM pg_publication");
}

class SubscriptionRun final : public PostgresRun {
 public:
  SubscriptionRun(PreparedWorkload& prepared, bool synchronous_commit)
      : PostgresRun(prepared, "run_subscription"), owner_(sink()) {
    owner_.execute(fmt::format(
        "CREATE SUBSCRIPTION bench CONNECTION {} PUBLICATION {} WITH (create_slot = false, "
        "slot_name = {}, enabled = false, copy_data = false, synchronous_commit = {})",
        demo::quote_literal(prepared.source_over_tcp()), publications(prepared), name(),
        synchronous_commit ? "on" : "off"));
    // A subscription that did not copy takes its tables for ready, and begins where its slot does.
    origin_ = "pg_" + owner_.value("SELECT oid FROM pg_subscription WHERE subname = 'bench'");
  }

  ~SubscriptionRun() override {
    try {
      close_look();
      owner_.execute(
          "ALTER SUBSCRIPTION bench DISABLE; ALTER SUBSCRIPTION bench SET (slot_name = NONE);"
          "DROP SUBSCRIPTION bench");
    } catch (const std::exception& error) {
      fmt::print(stderr, "bench: not removed: {}\n", error.what());
    }
  }

  void start() override { owner_.execute("ALTER SUBSCRIPTION bench ENABLE"); }

  // From another database: a snapshot in the sink's own would keep hot rows from being pruned.
  std::uint64_t applied() override {
    const std::string lsn =
        watcher_.value("SELECT pg_replication_origin_progress($1, false)", {origin_});
    return lsn.empty() ? 0 : LSN::parse(lsn).to_postgres();
  }

  CpuShares cpu() override {
    return {{"walsender", walsender_cpu(prepared(), name())},
            {"sink", sink_server_cpu(prepared(), name())}};
  }
  void stop() override { owner_.execute("ALTER SUBSCRIPTION bench DISABLE"); }

 private:
  demo::PgSession owner_;
  demo::PgSession watcher_{prepared().stage().sink().conninfo()};
  std::string origin_;
};

class Subscription final : public Contender {
 public:
  explicit Subscription(bool synchronous_commit) : synchronous_commit_(synchronous_commit) {}

  std::string name() const override {
    return synchronous_commit_ ? "subscription, synchronous" : "subscription";
  }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return std::make_unique<SubscriptionRun>(prepared, synchronous_commit_);
  }

 private:
  bool synchronous_commit_;
};

}  // namespace

std::unique_ptr<Contender> subscription(bool synchronous_commit) {
  return std::make_unique<Subscription>(synchronous_commit);
}

}  // namespace headgate::bench
