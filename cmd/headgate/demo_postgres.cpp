#include "demo/order_schema.hpp"
#include "demo/throwaway_cluster.hpp"
#include "demo_source.hpp"

namespace headgate {
namespace {

class PostgresDemo final : public DemoSource {
 public:
  explicit PostgresDemo(double rate) : workload_(load(cluster_, rate)) {}

  std::string name() const override { return "source"; }
  std::string place() const override { return cluster_.conninfo(); }
  std::string notice() const override { return {}; }
  const std::string& folder() const override { return cluster_.folder(); }

  void configure(Config& config) const override {
    config.source.conninfo = cluster_.conninfo();
    config.source.slot = "headgate_demo";
    config.source.publication = "headgate_demo";
    // So that the end is reached at once, and not with the next idle round.
    config.source.idle_advance_interval = std::chrono::milliseconds(200);
  }

  demo::OrderWorkload& workload() override { return workload_; }

  demo::Comparison compare(const std::string& mirror) override {
    return demo::compare(
        {cluster_.conninfo(), demo::order_tables(), demo::SqliteMirror{mirror}, 20});
  }

 private:
  static demo::WorkloadOptions load(const demo::ThrowawayCluster& cluster, double rate) {
    demo::WorkloadOptions options;
    options.conninfo = cluster.conninfo();
    options.transactions_per_second = rate;
    return options;
  }

  const demo::ThrowawayCluster cluster_;
  demo::OrderWorkload workload_;
};

}  // namespace

std::unique_ptr<DemoSource> make_postgres_demo(double rate) {
  return std::make_unique<PostgresDemo>(rate);
}

}  // namespace headgate
