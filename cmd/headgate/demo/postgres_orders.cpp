#include "demo/postgres_orders.hpp"

#include "demo/order_actions.hpp"
#include "demo/order_schema.hpp"
#include "demo/pg_session.hpp"

namespace headgate::demo {

namespace {

class PostgresOrderSession final : public OrderSession {
 public:
  PostgresOrderSession(const std::string& conninfo, int customers, int products)
      : session_(conninfo), customers_(customers), products_(products) {}

  bool transact(std::mt19937_64& random) override {
    session_.execute("BEGIN");
    OrderActions(session_, random, customers_, products_).any();
    const bool commits = !std::bernoulli_distribution(0.05)(random);
    session_.execute(commits ? "COMMIT" : "ROLLBACK");
    return commits;
  }

  void roll_back() override { session_.execute("ROLLBACK"); }

 private:
  PgSession session_;
  int customers_;
  int products_;
};

class PostgresOrders final : public OrderDatabase {
 public:
  PostgresOrders(std::string conninfo, int customers, int products)
      : conninfo_(std::move(conninfo)), customers_(customers), products_(products) {}

  void create_schema() override {
    PgSession(conninfo_).execute(order_schema_script(customers_, products_));
  }

  std::unique_ptr<OrderSession> connect() override {
    return std::make_unique<PostgresOrderSession>(conninfo_, customers_, products_);
  }

  OrderFailure judge(const std::exception& error) const override {
    const auto* failure = dynamic_cast<const PgError*>(&error);
    if (failure == nullptr) {
      return OrderFailure::kUnexpected;
    }
    if (failure->retryable()) {
      return OrderFailure::kRetry;
    }
    // The server is going down, coming up or full: another session works later.
    const bool later = failure->session_lost() || failure->sqlstate().starts_with("57P") ||
                       failure->sqlstate() == "53300";
    return later ? OrderFailure::kNewSession : OrderFailure::kUnexpected;
  }

 private:
  std::string conninfo_;
  int customers_;
  int products_;
};

}  // namespace

std::unique_ptr<OrderDatabase> postgres_orders(const std::string& conninfo, int customers,
                                               int products) {
  return std::make_unique<PostgresOrders>(conninfo, customers, products);
}

}  // namespace headgate::demo
