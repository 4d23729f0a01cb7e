#include "crash_workload.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <utility>

#include "pipeline/pipeline_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using pipeline_test::portion_at;
using pipeline_test::position;

// A cell that the source did not send.
const std::string kUnsent = "(unsent)";

TableSchemaPtr make_schema(const std::string& name, std::vector<Column> columns,
                           std::vector<std::size_t> key) {
  auto made = std::make_shared<TableSchema>();
  made->name = {"", name};
  made->columns = std::move(columns);
  made->key = std::move(key);
  return made;
}

Column column(const std::string& name, TypeFamily family) {
  Column made;
  made.name = name;
  made.family = family;
  return made;
}

const TableSchemaPtr kCustomers =
    make_schema("customers",
                {column("id", TypeFamily::kInteger), column("email", TypeFamily::kText),
                 column("name", TypeFamily::kText)},
                {0});
const TableSchemaPtr kOrders =
    make_schema("orders",
                {column("id", TypeFamily::kInteger), column("customer", TypeFamily::kInteger),
                 column("note", TypeFamily::kText)},
                {0});
const TableSchemaPtr kVisits = make_schema(
    "visits", {column("page", TypeFamily::kText), column("seconds", TypeFamily::kInteger)}, {});

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

template <typename Map>
std::uint64_t any_key(const Map& map, std::size_t place) {
  return std::next(map.begin(), static_cast<std::ptrdiff_t>(place))->first;
}

}  // namespace

CrashWorkload::CrashWorkload(std::uint64_t seed, std::size_t transactions) : random_(seed) {
  states_[0] = {};
  copy();
  for (std::size_t i = 1; i <= transactions; ++i) {
    // The special ones at places that every length has, none beside another.
    const std::size_t place = i * 20 / transactions;
    const bool first_there = place != (i - 1) * 20 / transactions;
    if (first_there && place == 6) {
      large(1);
    } else if (first_there && place == 10) {
      large(3);
    } else if (first_there && place == 13) {
      truncate(kVisits);
    } else if (first_there && place == 16) {
      truncate(kOrders);
    } else if (i % 7 == 3) {
      nothing();
    } else {
      small();
    }
  }
}

const CrashWorkload::State* CrashWorkload::state_at(std::uint64_t end) const {
  const auto found = states_.find(end);
  return found == states_.end() ? nullptr : &found->second;
}

std::string CrashWorkload::create_tables_sql() {
  return "CREATE TABLE customers (id INTEGER NOT NULL PRIMARY KEY, email TEXT NOT NULL UNIQUE, "
         "name TEXT);"
         "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, "
         "customer INTEGER NOT NULL REFERENCES customers (id), note TEXT);"
         "CREATE INDEX orders_of_customer ON orders (customer);"
         "CREATE TABLE visits (page TEXT, seconds INTEGER);";
}

std::string CrashWorkload::dump_sql(const std::string& table) {
  for (const TableSchemaPtr& schema : {kCustomers, kOrders, kVisits}) {
    if (schema->name.table == table) {
      std::string sql = "SELECT '" + table + "'";
      for (const Column& shown : schema->columns) {
        sql += " || '|' || quote(" + shown.name + ")";
      }
      return sql + " FROM main." + table;
    }
  }
  return {};
}

// ---- transactions ----

void CrashWorkload::copy() {
  purpose_ = Purpose::kInitialCopy;
  begin();
  open_->involve(kCustomers);
  for (int i = 0; i < 12; ++i) {
    add_customer();
  }
  next_portion();
  open_->involve(kOrders);
  for (int i = 0; i < 30; ++i) {
    add_order();
  }
  next_portion();
  open_->involve(kVisits);
  for (int i = 0; i < 8; ++i) {
    add_visit();
  }
  commit();
  purpose_ = Purpose::kChanges;
}

void CrashWorkload::small() {
  begin();
  for (std::size_t i = 1 + below(5); i > 0; --i) {
    change();
  }
  commit();
}

void CrashWorkload::large(std::size_t portions) {
  begin();
  for (std::size_t portion = 0; portion < portions; ++portion) {
    if (portion > 0) {
      next_portion();
    }
    for (std::size_t i = 0; i < 90 / portions; ++i) {
      below(3) == 0 ? change() : add_order();
    }
  }
  commit();
}

void CrashWorkload::nothing() {
  begin();
  commit();
}

void CrashWorkload::truncate(const TableSchemaPtr& table) {
  begin();
  change();
  open_->add_change(table, Operation::kTruncate, {});
  if (table == kOrders) {
    orders_.clear();
  } else {
    visits_.clear();
  }
  add_visit();
  add_order();
  commit();
}

void CrashWorkload::begin() {
  position_ += 10;
  portions_.clear();
  next_portion();
}

void CrashWorkload::next_portion() {
  const std::uint64_t ordinal = open_ && !portions_.empty() ? open_->next_ordinal() : 0;
  // The first copy knows its position, a commit only where its record begins.
  const bool copying = purpose_ == Purpose::kInitialCopy;
  open_ = std::make_shared<Transaction>(
      number(position_), LSN::from_postgres(copying ? position_ : position_ - 1), WallTime{});
  open_->set_commit_time(WallTime{std::chrono::seconds(position_)});
  open_->set_first_ordinal(ordinal);
  open_->purpose = purpose_;
  if (copying) {
    open_->end_position = position(position_);
  }
  portions_.push_back(open_);
}

void CrashWorkload::commit() {
  // How many transactions wait together, and whether a flush falls due between them.
  constexpr std::array<int, 6> kPauses{0, 0, 0, 200, 500, 1100};
  open_->end_position = position(position_);
  for (std::size_t i = 0; i < portions_.size(); ++i) {
    portions_[i]->portion = portion_at(i, portions_.size());
    const bool last = i + 1 == portions_.size();
    const auto pause = std::chrono::milliseconds(last ? kPauses[below(kPauses.size())] : 0);
    deliveries_.push_back({position_, portions_[i], pause});
  }
  states_[position_] = state();
}

CrashWorkload::State CrashWorkload::state() const {
  State rows;
  for (const auto& [id, customer] : customers_) {
    rows.push_back("customers|" + number(id) + "|'" + customer.email + "'|'" + customer.name + "'");
  }
  for (const auto& [id, order] : orders_) {
    rows.push_back("orders|" + number(id) + "|" + number(order.customer) + "|'" + order.note + "'");
  }
  for (const auto& [page, seconds] : visits_) {
    rows.push_back("visits|'" + page + "'|" + number(seconds));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

// ---- changes ----

void CrashWorkload::change() {
  switch (below(14)) {
    case 0:
      return add_customer();
    case 1:
      return rename_customer();
    case 2:
      return move_customer();
    case 3:
      return swap_emails();
    case 4:
      return remove_customer();
    case 5:
    case 6:
      return add_order();
    case 7:
    case 8:
      return update_order();
    case 9:
      return remove_order();
    case 10:
    case 11:
      return add_visit();
    case 12:
      return update_visit();
    default:
      return remove_visit();
  }
}

void CrashWorkload::add_customer() {
  const std::uint64_t id = ++last_id_;
  const Customer customer{"c" + number(id) + "@example.org", text(40)};
  customers_[id] = customer;
  insert(kCustomers, {number(id), customer.email, customer.name});
}

void CrashWorkload::rename_customer() {
  const std::uint64_t id = any_customer();
  Customer& customer = customers_[id];
  customer.name = text(40);
  update(kCustomers, {number(id), customer.email, customer.name});
}

// Under a new key, and as the source's ON UPDATE CASCADE does, its orders with it.
void CrashWorkload::move_customer() {
  const std::uint64_t id = any_customer();
  const std::uint64_t new_id = ++last_id_;
  const Customer customer = customers_[id];
  customers_.erase(id);
  customers_[new_id] = customer;
  update(kCustomers, {number(new_id), customer.email, customer.name},
         {number(id), customer.email, customer.name});
  for (auto& [order_id, order] : orders_) {
    if (order.customer == id) {
      order.customer = new_id;
      update(kOrders, {number(order_id), number(new_id), kUnsent});
    }
  }
}

// One statement at the source, which checks the constraint at its end.
void CrashWorkload::swap_emails() {
  const std::uint64_t one = any_customer();
  const std::uint64_t other = any_customer();
  if (one == other) {
    return;
  }
  std::swap(customers_[one].email, customers_[other].email);
  for (const std::uint64_t id : {one, other}) {
    update(kCustomers, {number(id), customers_[id].email, customers_[id].name});
  }
}

void CrashWorkload::remove_customer() {
  if (customers_.size() < 4) {
    return add_customer();
  }
  const std::uint64_t id = any_customer();
  for (auto order = orders_.begin(); order != orders_.end();) {
    if (order->second.customer == id) {
      erase(kOrders, {number(order->first), number(id), order->second.note});
      order = orders_.erase(order);
    } else {
      ++order;
    }
  }
  erase(kCustomers, {number(id), customers_[id].email, customers_[id].name});
  customers_.erase(id);
}

void CrashWorkload::add_order() {
  const std::uint64_t id = ++last_id_;
  const Order order{any_customer(), text(300)};
  orders_[id] = order;
  insert(kOrders, {number(id), number(order.customer), order.note});
}

void CrashWorkload::update_order() {
  if (orders_.empty()) {
    return add_order();
  }
  const std::uint64_t id = any_order();
  Order& order = orders_[id];
  if (below(2) == 0) {
    order.note = text(300);
    update(kOrders, {number(id), number(order.customer), order.note});
  } else {
    order.customer = any_customer();
    update(kOrders, {number(id), number(order.customer), kUnsent});
  }
}

void CrashWorkload::remove_order() {
  if (orders_.empty()) {
    return add_order();
  }
  const std::uint64_t id = any_order();
  erase(kOrders, {number(id), number(orders_[id].customer), orders_[id].note});
  orders_.erase(id);
}

// Few different ones, so that equal rows meet.
void CrashWorkload::add_visit() {
  visits_.emplace_back("/page" + number(below(3)), below(3));
  insert(kVisits, {visits_.back().first, number(visits_.back().second)});
}

void CrashWorkload::update_visit() {
  if (visits_.empty()) {
    return add_visit();
  }
  Visit& visit = visits_[below(visits_.size())];
  const Visit before = visit;
  visit.second += 100;
  update(kVisits, {visit.first, number(visit.second)}, {before.first, number(before.second)});
}

void CrashWorkload::remove_visit() {
  if (visits_.empty()) {
    return add_visit();
  }
  const auto visit = visits_.begin() + static_cast<std::ptrdiff_t>(below(visits_.size()));
  erase(kVisits, {visit->first, number(visit->second)});
  visits_.erase(visit);
}

void CrashWorkload::insert(const TableSchemaPtr& table, const Cells& row) {
  open_->add_change(table, Operation::kInsert, store(row));
}

void CrashWorkload::update(const TableSchemaPtr& table, const Cells& row, const Cells& before) {
  open_->add_change(table, Operation::kUpdateAfter, store(row), store(before));
}

void CrashWorkload::erase(const TableSchemaPtr& table, const Cells& row) {
  open_->add_change(table, Operation::kDelete, store(row));
}

Row CrashWorkload::store(const Cells& cells) {
  std::vector<Value> values;
  values.reserve(cells.size());
  for (const std::string& cell : cells) {
    values.push_back(cell == kUnsent ? Value::unchanged() : Value::text(cell));
  }
  return open_->copy_row(values);
}

std::string CrashWorkload::text(std::size_t length_max) {
  std::string made(1 + below(length_max), ' ');
  std::generate(made.begin(), made.end(), [&] { return static_cast<char>('a' + below(26)); });
  return made;
}

std::uint64_t CrashWorkload::any_customer() {
  return any_key(customers_, below(customers_.size()));
}

std::uint64_t CrashWorkload::any_order() {
  return any_key(orders_, below(orders_.size()));
}

}  // namespace headgate::sink::sqlite::test
