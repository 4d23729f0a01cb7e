#include "demo/sqlserver/sqlserver_orders.hpp"

#include <utility>

#include "demo/sqlserver/order_batch.hpp"
#include "demo/sqlserver/order_tables.hpp"

namespace headgate::demo::sqlserver {

namespace {

class SqlServerOrderSession final : public OrderSession {
 public:
  SqlServerOrderSession(const std::string& connection_string, int customers, int products)
      : connection_(application(connection_string, "order workload")),
        customers_(customers),
        products_(products) {}

  bool transact(std::mt19937_64& random) override {
    const OrderBatch batch(random, customers_, products_);
    connection_.execute(batch.sql(), "run a transaction of the shop");
    return batch.commits();
  }

  void roll_back() override {
    connection_.execute("IF @@TRANCOUNT > 0 ROLLBACK", "roll back a transaction of the shop");
  }

 private:
  odbc::Connection connection_;
  int customers_;
  int products_;
};

class SqlServerOrders final : public OrderDatabase {
 public:
  SqlServerOrders(std::string connection_string, int customers, int products)
      : connection_string_(std::move(connection_string)),
        customers_(customers),
        products_(products) {}

  void create_schema() override {
    odbc::Connection(application(connection_string_, "order workload"))
        .execute(order_rows_script(customers_, products_), "fill the shop");
  }

  std::unique_ptr<OrderSession> connect() override {
    return std::make_unique<SqlServerOrderSession>(connection_string_, customers_, products_);
  }

  OrderFailure judge(const std::exception& error) const override {
    const auto* failure = dynamic_cast<const odbc::OdbcError*>(&error);
    if (failure == nullptr || failure->kind() != ErrorKind::kTransient) {
      return OrderFailure::kUnexpected;
    }
    return failure->connection_lost() ? OrderFailure::kNewSession : OrderFailure::kRetry;
  }

 private:
  std::string connection_string_;
  int customers_;
  int products_;
};

}  // namespace

odbc::ConnectOptions application(const std::string& connection_string, const std::string& role) {
  odbc::ConnectOptions options;
  options.connection_string = connection_string;
  options.role = role;
  options.application_name = "order workload";
  options.settings = odbc::sql_server_settings(std::chrono::seconds(10));
  // An error in the middle of a batch ends it, and its transaction.
  options.settings.emplace_back("SET XACT_ABORT ON");
  options.statement_timeout = std::chrono::seconds(60);
  return options;
}

std::unique_ptr<OrderDatabase> sqlserver_orders(const std::string& connection_string, int customers,
                                                int products) {
  return std::make_unique<SqlServerOrders>(connection_string, customers, products);
}

}  // namespace headgate::demo::sqlserver
