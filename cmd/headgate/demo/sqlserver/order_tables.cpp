#include "demo/sqlserver/order_tables.hpp"

#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "demo/order_schema.hpp"

namespace headgate::demo::sqlserver {

namespace {

constexpr const char* kSchema = "CREATE SCHEMA shop;";

constexpr const char* kTables = R"sql(
CREATE TABLE shop.customers (
  customer_id   bigint NOT NULL PRIMARY KEY,
  name          nvarchar(100) NOT NULL,
  email         nvarchar(200) NULL,
  address       nvarchar(max) NOT NULL,
  preferences   nvarchar(max) NULL,
  vip           bit NOT NULL DEFAULT 0,
  credit_limit  decimal(12,2) NULL,
  balance_cents bigint NOT NULL DEFAULT 0,
  updated_at    datetime2(6) NOT NULL DEFAULT SYSUTCDATETIME()
);

CREATE TABLE shop.products (
  product_id  int NOT NULL PRIMARY KEY,
  name        nvarchar(100) NOT NULL,
  price_cents bigint NOT NULL,
  price       decimal(12,2) NOT NULL,
  stock       bigint NOT NULL,
  given       bigint NOT NULL,
  weight      float NULL,
  barcode     varbinary(16) NULL,
  active      bit NOT NULL DEFAULT 1
);

CREATE TABLE shop.price_labels (
  sku         nvarchar(40) NOT NULL PRIMARY KEY,
  product_id  int NOT NULL REFERENCES shop.products (product_id),
  price_cents bigint NOT NULL,
  printed_on  date NOT NULL DEFAULT CONVERT(date, SYSUTCDATETIME())
);

CREATE SEQUENCE shop.order_ids AS bigint START WITH 1 INCREMENT BY 1;
CREATE TABLE shop.orders (
  order_id    bigint NOT NULL PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES shop.customers (customer_id),
  state       nvarchar(10) NOT NULL,
  total_cents bigint NOT NULL,
  total       decimal(12,2) NOT NULL,
  note        nvarchar(200) NULL,
  express     bit NOT NULL,
  placed_at   datetime2(7) NOT NULL DEFAULT SYSUTCDATETIME()
);

CREATE TABLE shop.order_lines (
  order_id    bigint NOT NULL REFERENCES shop.orders (order_id),
  line_no     int NOT NULL,
  product_id  int NOT NULL REFERENCES shop.products (product_id),
  quantity    int NOT NULL,
  price_cents bigint NOT NULL,
  discount    decimal(5,4) NULL,
  PRIMARY KEY (order_id, line_no)
);

CREATE SEQUENCE shop.payment_ids AS bigint START WITH 1 INCREMENT BY 1;
CREATE TABLE shop.payments (
  payment_id   bigint NOT NULL PRIMARY KEY,
  order_id     bigint NOT NULL REFERENCES shop.orders (order_id),
  amount_cents bigint NOT NULL,
  amount       decimal(12,2) NOT NULL,
  method       nvarchar(10) NOT NULL,
  paid_at      datetime2(7) NOT NULL DEFAULT SYSUTCDATETIME()
);
CREATE INDEX payments_order ON shop.payments (order_id);

-- No key: rows are only ever added.
CREATE TABLE shop.audit_log (
  at          datetime2(7) NOT NULL DEFAULT SYSUTCDATETIME(),
  action      nvarchar(20) NOT NULL,
  order_id    bigint NULL,
  delta_cents bigint NOT NULL,
  detail      nvarchar(max) NULL
);
)sql";

std::string enable(const std::string& table) {
  const std::size_t dot = table.find('.');
  return fmt::format(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'{}', @source_name = N'{}', @role_name = "
      "NULL;\n",
      table.substr(0, dot), table.substr(dot + 1));
}

}  // namespace

std::string order_tables_script() {
  std::string script = "EXEC sys.sp_cdc_enable_db;\n";
  // In a batch of its own, as SQL Server wants it.
  script += fmt::format("EXEC (N'{}');\n", kSchema);
  script += kTables;
  for (const std::string& table : order_tables()) {
    script += enable(table);
  }
  return script;
}

std::string order_rows_script(int customers, int products) {
  std::vector<std::string> people;
  for (int i = 1; i <= customers; ++i) {
    people.push_back(fmt::format(
        "({0}, N'Customer {0}', {1}, N'{0} Canal Street', N'{{\"språk\":\"sv\",\"tags\":[{0}]}}', "
        "{2}, {3})",
        i, i % 3 > 0 ? fmt::format("N'c{}@example.org'", i) : "NULL", i % 7 == 0 ? 1 : 0,
        i % 5 > 0 ? fmt::format("{}.{:02}", i * 100 + i / 20, i * 5 % 100) : "NULL"));
  }
  std::vector<std::string> goods;
  std::vector<std::string> labels;
  for (int i = 1; i <= products; ++i) {
    const int cents = 100 + i * 7;
    goods.push_back(
        fmt::format("({0}, N'Product {0}', {1}, {2}.{3:02}, 1000000, 1000000, {4}, {5})", i, cents,
                    cents / 100, cents % 100, i % 4 > 0 ? fmt::format("{}e0", i * 0.1) : "NULL",
                    fmt::format("0x00FF{:04X}", i * 257 % 65536)));
    labels.push_back(fmt::format("(N'SKU-{0}-0', {0}, {1})", i, cents));
  }
  return fmt::format(
      "BEGIN TRAN;\n"
      "INSERT INTO shop.customers (customer_id, name, email, address, preferences, vip, "
      "credit_limit) VALUES {};\n"
      "INSERT INTO shop.products (product_id, name, price_cents, price, stock, given, weight, "
      "barcode) VALUES {};\n"
      "INSERT INTO shop.price_labels (sku, product_id, price_cents) VALUES {};\n"
      "COMMIT;",
      fmt::join(people, ", "), fmt::join(goods, ", "), fmt::join(labels, ", "));
}

}  // namespace headgate::demo::sqlserver
