#include "demo/order_actions.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace headgate::demo {

namespace {

// About so many there are, once the shop has been open for a while.
constexpr std::int64_t kOrdersKept = 600;

std::string text(std::int64_t value) {
  return std::to_string(value);
}

}  // namespace

OrderActions::OrderActions(PgSession& session, std::mt19937_64& random, int customers, int products)
    : session_(session), random_(random), customers_(customers), products_(products) {}

void OrderActions::any() {
  using Action = void (OrderActions::*)();
  // Paying keeps up with placing; archive() keeps the shop at its size.
  static constexpr std::array<std::pair<int, Action>, 11> kWeights{{
      {24, &OrderActions::place},
      {1, &OrderActions::place_many},
      {33, &OrderActions::pay},
      {12, &OrderActions::cancel},
      {12, &OrderActions::correct},
      {3, &OrderActions::renumber},
      {34, &OrderActions::archive},
      {5, &OrderActions::move_customer},
      {8, &OrderActions::touch_customer},
      {3, &OrderActions::relabel},
      {1, &OrderActions::change_prices},
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

void OrderActions::place() {
  static constexpr std::array<const char*, 4> kNotes{"", "ring twice", "größer als 1 m",
                                                     "  spaces "};
  const std::string order = session_.value("SELECT nextval('shop.order_ids')");
  std::optional<std::string> note;
  if (chance(0.7)) {
    note = kNotes[static_cast<std::size_t>(number(0, 3))];
  }
  session_.query(
      "INSERT INTO shop.orders (order_id, customer_id, state, total_cents, total, note, express) "
      "VALUES ($1, $2, 'open', 0, 0, $3, $4)",
      {order, customer(), note, chance(0.2) ? "true" : "false"});
  // In key order, so that two orders over the same products seldom block each other for ever.
  std::vector<std::int64_t> wanted(static_cast<std::size_t>(number(1, 5)));
  std::generate(wanted.begin(), wanted.end(), [&] { return number(1, products_); });
  std::sort(wanted.begin(), wanted.end());
  std::int64_t total = 0;
  int line = 0;
  for (const std::int64_t product_id : wanted) {
    total += add_line(order, ++line, text(product_id));
  }
  change_balance(order, total, "place");
}

void OrderActions::place_many() {
  for (int i = 0; i < 20; ++i) {
    place();
  }
}

std::int64_t OrderActions::add_line(const std::string& order, int line, const std::string& wanted) {
  const std::int64_t quantity = number(1, 9);
  // The stock first: its row lock keeps the price from changing meanwhile.
  const std::string price = session_.value(
      "UPDATE shop.products SET stock = stock - $2 WHERE product_id = $1 RETURNING price_cents",
      {wanted, text(quantity)});
  session_.query(
      "INSERT INTO shop.order_lines (order_id, line_no, product_id, quantity, price_cents, "
      "discount) "
      "VALUES ($1, $2, $3, $4, $5, $6)",
      {order, text(line), wanted, text(quantity), price,
       chance(0.5) ? std::optional<std::string>("0.0250") : std::nullopt});
  return quantity * std::stoll(price);
}

void OrderActions::pay() {
  const std::string order = lock_open_order();
  if (order.empty()) {
    return;
  }
  const std::int64_t total = std::stoll(
      session_.value("SELECT total_cents FROM shop.orders WHERE order_id = $1", {order}));
  const std::int64_t first = chance(0.3) ? number(0, total) : total;
  for (const std::int64_t amount : {first, total - first}) {
    if (amount != 0) {
      session_.query(
          "INSERT INTO shop.payments (payment_id, order_id, amount_cents, amount, method) "
          "VALUES (nextval('shop.payment_ids'), $1, $2::bigint, $2::bigint / 100.0, $3)",
          {order, text(amount), chance(0.5) ? "card" : "cash"});
    }
  }
  session_.query(
      "UPDATE shop.customers SET balance_cents = balance_cents - $2 WHERE customer_id = "
      "(SELECT customer_id FROM shop.orders WHERE order_id = $1)",
      {order, text(total)});
  session_.query("UPDATE shop.orders SET state = 'paid' WHERE order_id = $1", {order});
  session_.query(
      "INSERT INTO shop.audit_log (action, order_id, delta_cents) VALUES ('pay', $1, $2)",
      {order, text(-total)});
}

void OrderActions::cancel() {
  const std::string order = lock_open_order();
  if (order.empty()) {
    return;
  }
  const std::int64_t total = std::stoll(
      session_.value("SELECT total_cents FROM shop.orders WHERE order_id = $1", {order}));
  change_balance(order, -total, "cancel");
  release_lines(order, false);
  session_.query("DELETE FROM shop.orders WHERE order_id = $1", {order});
}

void OrderActions::correct() {
  const std::string order = lock_open_order();
  if (order.empty()) {
    return;
  }
  const TextRows lines = session_.query(
      "SELECT line_no, product_id, quantity, price_cents FROM shop.order_lines "
      "WHERE order_id = $1 ORDER BY random() LIMIT 1",
      {order});
  if (lines.empty()) {
    return;
  }
  const TextRow& line = lines.front();
  const std::int64_t before = std::stoll(*line[2]);
  const std::int64_t after = chance(0.2) ? 0 : number(1, 9);
  session_.query("UPDATE shop.products SET stock = stock - $2 WHERE product_id = $1",
                 {line[1], text(after - before)});
  if (after == 0) {
    session_.query("DELETE FROM shop.order_lines WHERE order_id = $1 AND line_no = $2",
                   {order, line[0]});
  } else {
    session_.query("UPDATE shop.order_lines SET quantity = $3 WHERE order_id = $1 AND line_no = $2",
                   {order, line[0], text(after)});
  }
  change_balance(order, (after - before) * std::stoll(*line[3]), "correct");
}

void OrderActions::renumber() {
  const std::string order = lock_open_order();
  if (!order.empty()) {
    // Far enough that no new number is an old one: PostgreSQL checks row by row.
    session_.query("UPDATE shop.order_lines SET line_no = line_no + 1000 WHERE order_id = $1",
                   {order});
  }
}

void OrderActions::archive() {
  if (std::stoll(session_.value("SELECT count(*) FROM shop.orders")) < kOrdersKept) {
    place();
    return;
  }
  const std::string order = lock_order("paid", 0);
  if (order.empty()) {
    return;
  }
  release_lines(order, true);
  session_.query("DELETE FROM shop.payments WHERE order_id = $1", {order});
  session_.query("DELETE FROM shop.orders WHERE order_id = $1", {order});
}

void OrderActions::move_customer() {
  // Random digits, since pglz would bring a repetitive text below the limit for out-of-line
  // storage.
  std::string address;
  for (std::int64_t words = number(200, 500); words > 0; --words) {
    address += fmt::format("{:016x}", random_());
  }
  session_.query(
      "UPDATE shop.customers SET address = $2, updated_at = clock_timestamp() WHERE customer_id = "
      "$1",
      {customer(), address});
}

void OrderActions::touch_customer() {
  session_.query(
      "UPDATE shop.customers SET vip = NOT vip, email = CASE WHEN email IS NULL THEN "
      "'c' || customer_id || '@example.org' END, credit_limit = nullif(coalesce(credit_limit, 0) + "
      "0.01, 0.02), preferences = jsonb_set(coalesce(preferences, '{}'), '{seen}', "
      "to_jsonb($2::int)), "
      "updated_at = clock_timestamp() WHERE customer_id = $1",
      {customer(), text(number(0, 1000000))});
}

void OrderActions::relabel() {
  session_.query(
      "UPDATE shop.price_labels SET sku = 'SKU-' || product_id || '-' || $2 WHERE product_id = $1",
      {product(), text(number(0, 1000000))});
}

void OrderActions::change_prices() {
  // In key order, so that two of these do not block each other for ever.
  session_.query(
      "WITH chosen AS (SELECT product_id FROM shop.products WHERE product_id % 3 = $1 "
      "ORDER BY product_id FOR UPDATE) "
      "UPDATE shop.products p SET price_cents = p.price_cents + $2, "
      "price = (p.price_cents + $2) / 100.0 FROM chosen WHERE p.product_id = chosen.product_id",
      {text(number(0, 2)), text(number(-5, 9))});
  session_.query(
      "UPDATE shop.price_labels b SET price_cents = p.price_cents FROM shop.products p "
      "WHERE p.product_id = b.product_id AND p.price_cents <> b.price_cents");
}

void OrderActions::undone() {
  session_.execute("SAVEPOINT thought_better_of_it");
  place();
  session_.query(
      "UPDATE shop.customers SET balance_cents = balance_cents + 1 WHERE customer_id = $1",
      {customer()});
  session_.execute("ROLLBACK TO SAVEPOINT thought_better_of_it");
}

std::int64_t OrderActions::number(std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
}

bool OrderActions::chance(double probability) {
  return std::bernoulli_distribution(probability)(random_);
}

std::string OrderActions::customer() {
  return text(number(1, customers_));
}

std::string OrderActions::product() {
  return text(number(1, products_));
}

std::string OrderActions::lock_order(const std::string& state, std::int64_t from) {
  return session_.value(
      "SELECT order_id FROM shop.orders WHERE state = $1 AND order_id >= $2 "
      "ORDER BY order_id LIMIT 1 FOR UPDATE SKIP LOCKED",
      {state, text(from)});
}

std::string OrderActions::lock_open_order() {
  const TextRow ends =
      session_
          .query("SELECT coalesce(min(order_id), 0), coalesce(max(order_id), 0) FROM shop.orders")
          .front();
  // Often the oldest, which chance alone would seldom find among the gaps before it.
  const std::int64_t oldest = std::stoll(*ends[0]);
  return lock_order("open", chance(0.25) ? oldest : number(oldest, std::stoll(*ends[1])));
}

void OrderActions::change_balance(const std::string& order, std::int64_t delta_cents,
                                  const std::string& action) {
  session_.query(
      "WITH changed AS (UPDATE shop.orders SET total_cents = total_cents + $2::bigint, "
      "total = (total_cents + $2::bigint) / 100.0 WHERE order_id = $1 RETURNING customer_id) "
      "UPDATE shop.customers c SET balance_cents = balance_cents + $2::bigint FROM changed "
      "WHERE c.customer_id = changed.customer_id",
      {order, text(delta_cents)});
  session_.query(
      "INSERT INTO shop.audit_log (action, order_id, delta_cents, detail) "
      "VALUES ($1, $2, $3::bigint, jsonb_build_object('delta', $3::bigint))",
      {action, order, text(delta_cents)});
}

// `sold`: the goods have left, so what the products were given shrinks; else they return to stock.
void OrderActions::release_lines(const std::string& order, bool sold) {
  session_.query(
      fmt::format("WITH gone AS (DELETE FROM shop.order_lines WHERE order_id = $1 "
                  "RETURNING product_id, quantity), "
                  "held AS (SELECT product_id, sum(quantity) AS quantity FROM gone "
                  "GROUP BY product_id) "
                  "UPDATE shop.products p SET {} FROM held "
                  "WHERE p.product_id = held.product_id",
                  sold ? "given = p.given - held.quantity" : "stock = p.stock + held.quantity"),
      {order});
}

}  // namespace headgate::demo
