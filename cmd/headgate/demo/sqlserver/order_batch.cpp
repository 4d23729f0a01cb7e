#include "demo/sqlserver/order_batch.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace headgate::demo::sqlserver {

namespace {

// About so many there are, once the shop has been open for a while. Fewer than in PostgreSQL's
// shop: the emulation has no statistics and few indexes.
constexpr int kOrdersKept = 300;

constexpr const char* kDeclarations =
    "DECLARE @order bigint, @customer bigint, @price bigint, @delta bigint, @total bigint, @first "
    "bigint, @oldest bigint, @newest bigint, @line int, @product int, @quantity int;\n";

}  // namespace

OrderBatch::OrderBatch(std::mt19937_64& random, int customers, int products)
    : random_(random), customers_(customers), products_(products), sql_(kDeclarations) {
  sql_ += "BEGIN TRAN;\n";
  any();
  commits_ = !chance(0.05);
  sql_ += commits_ ? "COMMIT;" : "ROLLBACK;";
}

void OrderBatch::any() {
  using Action = void (OrderBatch::*)();
  // Paying keeps up with placing; archive() keeps the shop at its size.
  static constexpr std::array<std::pair<int, Action>, 11> kWeights{{
      {24, &OrderBatch::place},
      {1, &OrderBatch::place_many},
      {33, &OrderBatch::pay},
      {12, &OrderBatch::cancel},
      {12, &OrderBatch::correct},
      {3, &OrderBatch::renumber},
      {34, &OrderBatch::archive},
      {5, &OrderBatch::move_customer},
      {8, &OrderBatch::touch_customer},
      {3, &OrderBatch::relabel},
      {1, &OrderBatch::change_prices},
  }};
  if (chance(0.05)) {
    undone();
  }
  int sum = 0;
  for (const auto& [weight, action] : kWeights) {
    sum += weight;
  }
  std::int64_t left = number(1, sum);
  for (const auto& [weight, action] : kWeights) {
    left -= weight;
    if (left <= 0) {
      (this->*action)();
      return;
    }
  }
}

void OrderBatch::place() {
  static constexpr std::array<const char*, 5> kNotes{"NULL", "N''", "N'ring twice'",
                                                     "N'größer als 1 m 📦'", "N'  spaces '"};
  sql_ += fmt::format(
      "SET @order = NEXT VALUE FOR shop.order_ids;\n"
      "INSERT INTO shop.orders (order_id, customer_id, state, total_cents, total, note, express) "
      "VALUES (@order, {}, N'open', 0, 0, {}, {});\n"
      "SET @delta = 0;\n",
      number(1, customers_), kNotes[static_cast<std::size_t>(number(0, 4))], chance(0.2) ? 1 : 0);
  // In key order, so that two orders over the same products seldom block each other for ever.
  std::vector<std::int64_t> wanted(static_cast<std::size_t>(number(1, 5)));
  std::generate(wanted.begin(), wanted.end(), [&] { return number(1, products_); });
  std::sort(wanted.begin(), wanted.end());
  int line = 0;
  for (const std::int64_t product : wanted) {
    add_line(++line, product);
  }
  change_balance("place");
}

void OrderBatch::place_many() {
  for (int i = 0; i < 20; ++i) {
    place();
  }
}

void OrderBatch::add_line(int line, std::int64_t product) {
  const std::int64_t quantity = number(1, 9);
  // The stock first: its row lock keeps the price from changing meanwhile.
  sql_ += fmt::format(
      "UPDATE shop.products SET stock = stock - {1}, @price = price_cents WHERE product_id = {0};\n"
      "INSERT INTO shop.order_lines (order_id, line_no, product_id, quantity, price_cents, "
      "discount) VALUES (@order, {2}, {0}, {1}, @price, {3});\n"
      "SET @delta = @delta + {1} * @price;\n",
      product, quantity, line, chance(0.5) ? "0.0250" : "NULL");
}

void OrderBatch::pay() {
  find_order("open", chance(0.25));
  sql_ += fmt::format("SET @first = @total * {} / 100;\n", chance(0.3) ? number(0, 100) : 100);
  for (const char* amount : {"@first", "@total - @first"}) {
    sql_ += fmt::format(
        "IF {0} <> 0 INSERT INTO shop.payments (payment_id, order_id, amount_cents, amount, "
        "method) VALUES (NEXT VALUE FOR shop.payment_ids, @order, {0}, ({0}) / 100.0, N'{1}');\n",
        amount, chance(0.5) ? "card" : "cash");
  }
  sql_ +=
      "UPDATE shop.customers SET balance_cents = balance_cents - @total WHERE customer_id = "
      "@customer;\n"
      "UPDATE shop.orders SET state = N'paid' WHERE order_id = @order;\n"
      "INSERT INTO shop.audit_log (action, order_id, delta_cents) VALUES (N'pay', @order, "
      "-@total);\n";
  end_found();
}

void OrderBatch::cancel() {
  find_order("open", chance(0.25));
  sql_ += "SET @delta = -@total;\n";
  change_balance("cancel");
  release_lines(false);
  sql_ += "DELETE FROM shop.orders WHERE order_id = @order;\n";
  end_found();
}

void OrderBatch::correct() {
  const std::int64_t after = chance(0.2) ? 0 : number(1, 9);
  find_order("open", chance(0.25));
  sql_ += fmt::format(
      "SET @line = NULL;\n"
      "SELECT TOP (1) @line = line_no, @product = product_id, @quantity = quantity, @price = "
      "price_cents FROM shop.order_lines WHERE order_id = @order ORDER BY NEWID();\n"
      "IF @line IS NOT NULL BEGIN\n"
      "UPDATE shop.products SET stock = stock - ({0} - @quantity) WHERE product_id = @product;\n",
      after);
  sql_ += after == 0 ? "DELETE FROM shop.order_lines"
                     : fmt::format("UPDATE shop.order_lines SET quantity = {}", after);
  sql_ += fmt::format(
      " WHERE order_id = @order AND line_no = @line;\n"
      "SET @delta = ({} - @quantity) * @price;\n",
      after);
  change_balance("correct");
  sql_ += "END;\n";
  end_found();
}

void OrderBatch::renumber() {
  find_order("open", chance(0.25));
  sql_ += "UPDATE shop.order_lines SET line_no = line_no + 1000 WHERE order_id = @order;\n";
  end_found();
}

void OrderBatch::archive() {
  sql_ += fmt::format("IF (SELECT COUNT(*) FROM shop.orders) < {} BEGIN\n", kOrdersKept);
  place();
  sql_ += "END ELSE BEGIN\n";
  find_order("paid", true);
  release_lines(true);
  sql_ +=
      "DELETE FROM shop.payments WHERE order_id = @order;\n"
      "DELETE FROM shop.orders WHERE order_id = @order;\n";
  end_found();
  sql_ += "END;\n";
}

void OrderBatch::move_customer() {
  std::string address;
  for (std::int64_t words = number(200, 500); words > 0; --words) {
    address += fmt::format("{:016x}", random_());
  }
  sql_ += fmt::format(
      "UPDATE shop.customers SET address = N'{}', updated_at = SYSUTCDATETIME() WHERE customer_id "
      "= {};\n",
      address, number(1, customers_));
}

void OrderBatch::touch_customer() {
  sql_ += fmt::format(
      "UPDATE shop.customers SET vip = CASE WHEN vip = 1 THEN 0 ELSE 1 END, "
      "email = CASE WHEN email IS NULL THEN N'c' + CONVERT(nvarchar(10), customer_id) + "
      "N'@example.org' END, "
      "credit_limit = NULLIF(COALESCE(credit_limit, 0) + 0.01, 0.02), "
      "preferences = N'{{\"seen\":{}}}', updated_at = SYSUTCDATETIME() WHERE customer_id = {};\n",
      number(0, 1000000), number(1, customers_));
}

void OrderBatch::relabel() {
  const std::int64_t product = number(1, products_);
  // The product's row lock orders this with change_prices(), which might else pass over a label
  // whose key moves at the same time.
  sql_ += fmt::format(
      "SELECT @price = price_cents FROM shop.products WITH (UPDLOCK, ROWLOCK) WHERE product_id = "
      "{0};\n"
      "UPDATE shop.price_labels SET sku = N'SKU-{0}-{1}' WHERE product_id = {0};\n",
      product, number(0, 1000000));
}

void OrderBatch::change_prices() {
  const std::int64_t cents = number(-5, 9);
  sql_ += fmt::format(
      "UPDATE shop.products SET price_cents = price_cents + {0}, price = (price_cents + {0}) / "
      "100.0 WHERE product_id % 3 = {1};\n"
      "UPDATE b SET price_cents = p.price_cents FROM shop.price_labels AS b JOIN shop.products AS "
      "p ON p.product_id = b.product_id WHERE p.price_cents <> b.price_cents;\n",
      cents, number(0, 2));
}

void OrderBatch::undone() {
  sql_ += "SAVE TRAN thought_better_of_it;\n";
  place();
  sql_ += fmt::format(
      "UPDATE shop.customers SET balance_cents = balance_cents + 1 WHERE customer_id = {};\n"
      "ROLLBACK TRAN thought_better_of_it;\n",
      number(1, customers_));
}

void OrderBatch::change_balance(const std::string& action) {
  sql_ += fmt::format(
      "UPDATE shop.orders SET total_cents = total_cents + @delta, total = (total_cents + @delta) / "
      "100.0, @customer = customer_id WHERE order_id = @order;\n"
      "UPDATE shop.customers SET balance_cents = balance_cents + @delta WHERE customer_id = "
      "@customer;\n"
      "INSERT INTO shop.audit_log (action, order_id, delta_cents, detail) VALUES (N'{}', @order, "
      "@delta, N'{{\"delta\":' + CONVERT(nvarchar(20), @delta) + N'}}');\n",
      action);
}

// `sold`: the goods have left, so what the products were given shrinks; else they return to stock.
void OrderBatch::release_lines(bool sold) {
  sql_ += fmt::format(
      "UPDATE p SET {} FROM shop.products AS p JOIN (SELECT product_id, SUM(quantity) AS quantity "
      "FROM shop.order_lines WHERE order_id = @order GROUP BY product_id) AS held ON "
      "held.product_id = p.product_id;\n"
      "DELETE FROM shop.order_lines WHERE order_id = @order;\n",
      sold ? "given = p.given - held.quantity" : "stock = p.stock + held.quantity");
}

// A short stretch of orders, since UPDLOCK holds all that the condition finds. Often it begins with
// the oldest one, which chance alone would seldom find among the gaps before it.
void OrderBatch::find_order(const std::string& state, bool oldest) {
  sql_ += fmt::format(
      "SELECT @oldest = COALESCE(MIN(order_id), 0), @newest = COALESCE(MAX(order_id), 0) FROM "
      "shop.orders;\n"
      "SET @oldest = @oldest + (@newest - @oldest) * {} / 100;\n"
      "SET @order = NULL;\n"
      "SELECT TOP (1) @order = order_id, @customer = customer_id, @total = total_cents FROM "
      "shop.orders WITH (UPDLOCK, READPAST, ROWLOCK) WHERE order_id BETWEEN @oldest AND @oldest + "
      "20 AND state = N'{}' ORDER BY order_id;\n"
      "IF @order IS NOT NULL BEGIN\n",
      oldest ? 0 : number(0, 100), state);
}

std::int64_t OrderBatch::number(std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
}

bool OrderBatch::chance(double probability) {
  return std::bernoulli_distribution(probability)(random_);
}

}  // namespace headgate::demo::sqlserver
