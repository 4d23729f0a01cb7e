#include "demo/order_schema.hpp"

#include <functional>

#include <fmt/format.h>

#include "demo/pg_session.hpp"

namespace headgate::demo {

namespace {

constexpr const char* kTables = R"sql(
CREATE SCHEMA shop;

CREATE TABLE shop.customers (
  customer_id   bigint PRIMARY KEY,
  name          text NOT NULL,
  email         text,
  address       text NOT NULL,
  preferences   jsonb,
  vip           boolean NOT NULL DEFAULT false,
  credit_limit  numeric(12,2),
  balance_cents bigint NOT NULL DEFAULT 0,
  updated_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE shop.products (
  product_id  integer PRIMARY KEY,
  name        text NOT NULL,
  price_cents bigint NOT NULL,
  price       numeric(12,2) NOT NULL,
  stock       bigint NOT NULL,
  given       bigint NOT NULL,
  weight      double precision,
  barcode     bytea,
  active      boolean NOT NULL DEFAULT true
);

-- Small, and its key changes while the shop is open.
CREATE TABLE shop.price_labels (
  sku         text PRIMARY KEY,
  product_id  integer NOT NULL REFERENCES shop.products,
  price_cents bigint NOT NULL,
  printed_on  date NOT NULL DEFAULT current_date
);

CREATE SEQUENCE shop.order_ids;
CREATE TABLE shop.orders (
  order_id    bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES shop.customers,
  state       text NOT NULL,
  total_cents bigint NOT NULL,
  total       numeric(12,2) NOT NULL,
  note        text,
  express     boolean NOT NULL,
  placed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE shop.order_lines (
  order_id    bigint NOT NULL REFERENCES shop.orders,
  line_no     integer NOT NULL,
  product_id  integer NOT NULL REFERENCES shop.products,
  quantity    integer NOT NULL,
  price_cents bigint NOT NULL,
  discount    numeric(5,4),
  PRIMARY KEY (order_id, line_no)
);
CREATE INDEX ON shop.order_lines (product_id);

CREATE SEQUENCE shop.payment_ids;
CREATE TABLE shop.payments (
  payment_id   bigint PRIMARY KEY,
  order_id     bigint NOT NULL REFERENCES shop.orders,
  amount_cents bigint NOT NULL,
  amount       numeric(12,2) NOT NULL,
  method       text NOT NULL,
  paid_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON shop.payments (order_id);

-- No key: rows are only ever added.
CREATE TABLE shop.audit_log (
  at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  action      text NOT NULL,
  order_id    bigint,
  delta_cents bigint NOT NULL,
  detail      jsonb
);
)sql";

constexpr const char* kRows = R"sql(
INSERT INTO shop.customers (customer_id, name, email, address, preferences, vip, credit_limit)
SELECT i, 'Customer ' || i, CASE WHEN i % 3 > 0 THEN 'c' || i || '@example.org' END,
       i || ' Canal Street', jsonb_build_object('språk', 'sv', 'tags', jsonb_build_array(i, 'ü', null)),
       i % 7 = 0, CASE WHEN i % 5 > 0 THEN i * 100.05 END
FROM generate_series(1, {0}) AS i;

INSERT INTO shop.products (product_id, name, price_cents, price, stock, given, weight, barcode)
SELECT i, 'Product ' || i, 100 + i * 7, (100 + i * 7) / 100.0, 1000000, 1000000,
       CASE WHEN i % 4 > 0 THEN i * 0.1 END, decode(md5(i::text), 'hex')
FROM generate_series(1, {1}) AS i;

INSERT INTO shop.price_labels (sku, product_id, price_cents)
SELECT 'SKU-' || i || '-0', i, 100 + i * 7 FROM generate_series(1, {1}) AS i;
)sql";

// {…} are the tables.
constexpr const char* kInvariant = R"sql(
SELECT 'order total' AS rule, CAST(o.order_id AS text) AS key, CAST(o.total_cents AS text) AS stored,
       CAST(COALESCE(l.total, 0) AS text) AS computed
FROM {orders} o LEFT JOIN (SELECT order_id, SUM(quantity * price_cents) AS total
                           FROM {order_lines} GROUP BY order_id) l ON l.order_id = o.order_id
WHERE o.total_cents <> COALESCE(l.total, 0)
UNION ALL
SELECT 'open balance', CAST(c.customer_id AS text), CAST(c.balance_cents AS text),
       CAST(COALESCE(o.total, 0) AS text)
FROM {customers} c LEFT JOIN (SELECT customer_id, SUM(total_cents) AS total FROM {orders}
                              WHERE state = 'open' GROUP BY customer_id) o
                   ON o.customer_id = c.customer_id
WHERE c.balance_cents <> COALESCE(o.total, 0)
UNION ALL
SELECT 'stock', CAST(p.product_id AS text), CAST(p.stock AS text),
       CAST(p.given - COALESCE(l.held, 0) AS text)
FROM {products} p LEFT JOIN (SELECT product_id, SUM(quantity) AS held FROM {order_lines}
                             GROUP BY product_id) l ON l.product_id = p.product_id
WHERE p.stock <> p.given - COALESCE(l.held, 0)
UNION ALL
SELECT 'payment', CAST(o.order_id AS text),
       CAST(CASE WHEN o.state = 'paid' THEN o.total_cents ELSE 0 END AS text),
       CAST(COALESCE(p.paid, 0) AS text)
FROM {orders} o LEFT JOIN (SELECT order_id, SUM(amount_cents) AS paid FROM {payments}
                           GROUP BY order_id) p ON p.order_id = o.order_id
WHERE CASE WHEN o.state = 'paid' THEN o.total_cents ELSE 0 END <> COALESCE(p.paid, 0)
UNION ALL
SELECT 'label', b.sku, CAST(b.price_cents AS text), CAST(p.price_cents AS text)
FROM {price_labels} b LEFT JOIN {products} p ON p.product_id = b.product_id
WHERE p.price_cents IS NULL OR p.price_cents <> b.price_cents
UNION ALL
SELECT 'orphan line', CAST(l.order_id AS text), CAST(l.line_no AS text), 'no order'
FROM {order_lines} l LEFT JOIN {orders} o ON o.order_id = l.order_id WHERE o.order_id IS NULL
UNION ALL
SELECT 'orphan payment', CAST(p.payment_id AS text), CAST(p.order_id AS text), 'no order'
FROM {payments} p LEFT JOIN {orders} o ON o.order_id = p.order_id WHERE o.order_id IS NULL
UNION ALL
SELECT 'audit', 'all', CAST(c.total AS text), CAST(a.total AS text)
FROM (SELECT COALESCE(SUM(balance_cents), 0) AS total FROM {customers}) c,
     (SELECT COALESCE(SUM(delta_cents), 0) AS total FROM {audit_log}) a
WHERE c.total <> a.total
)sql";

std::string invariant(const std::function<std::string(const std::string&)>& named) {
  return fmt::format(
      fmt::runtime(kInvariant), fmt::arg("customers", named("customers")),
      fmt::arg("products", named("products")), fmt::arg("price_labels", named("price_labels")),
      fmt::arg("orders", named("orders")), fmt::arg("order_lines", named("order_lines")),
      fmt::arg("payments", named("payments")), fmt::arg("audit_log", named("audit_log")));
}

}  // namespace

std::vector<std::string> order_tables() {
  return {"shop.customers",   "shop.products", "shop.price_labels", "shop.orders",
          "shop.order_lines", "shop.payments", "shop.audit_log"};
}

std::string order_schema_script(int customers, int products) {
  return kTables + fmt::format(fmt::runtime(kRows), customers, products);
}

std::string order_invariant_postgres(const std::string& schema) {
  return invariant([&](const std::string& table) {
    return quote_identifier(schema) + "." + quote_identifier(table);
  });
}

std::string order_invariant_sqlite() {
  return invariant([](const std::string& table) { return quote_identifier("shop." + table); });
}

}  // namespace headgate::demo
