// A source's history with everything in it that a sink treats differently, and what the sink must
// hold after each of its transactions.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "core/batch_context.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"

namespace headgate::sink::sqlite::test {

// Three tables: `customers` with a unique column, `orders` that refer to them, and `visits`, which
// has no key, so that a row applied twice is there twice. First a copy in portions; then some tens
// of transactions: small, empty, one large at once, one large in portions; rows that move to other
// keys, that swap their unique values, and a TRUNCATE of each of two tables.
//
// Built once from a seed and never changed; any number of sinks may be fed from it.
class CrashWorkload {
 public:
  // What is handed to the sink's queue at one time, and how long the source is quiet after it.
  struct Delivery {
    std::uint64_t end = 0;  // of its transaction, also for portions that do not say so
    TransactionPtr transaction;
    Duration pause{};  // 0: the next comes at the same time
  };

  // The rows of all tables, sorted, each as `table|value|…` with values as SQLite's quote() prints
  // them.
  using State = std::vector<std::string>;

  CrashWorkload(std::uint64_t seed, std::size_t transactions);

  const std::vector<Delivery>& deliveries() const { return deliveries_; }
  // The end of the last transaction.
  std::uint64_t end() const { return deliveries_.back().end; }
  // After the transaction that ends at `end`; 0: before the copy. Null where no transaction ends.
  const State* state_at(std::uint64_t end) const;

  // As a person may have created the tables beforehand, with constraints that the sink leaves out.
  static std::string create_tables_sql();
  // A query that returns the rows of `table` as State has them.
  static std::string dump_sql(const std::string& table);
  static std::vector<std::string> tables() { return {"customers", "orders", "visits"}; }

 private:
  struct Customer {
    std::string email;
    std::string name;
  };
  struct Order {
    std::uint64_t customer = 0;
    std::string note;
  };
  using Visit = std::pair<std::string, std::uint64_t>;
  using Cells = std::vector<std::string>;

  void copy();
  void small();
  void large(std::size_t portions);
  void nothing();
  void truncate(const TableSchemaPtr& table);

  void change();
  void add_customer();
  void rename_customer();
  void move_customer();
  void swap_emails();
  void remove_customer();
  void add_order();
  void update_order();
  void remove_order();
  void add_visit();
  void update_visit();
  void remove_visit();

  void begin();
  void next_portion();
  void commit();

  void insert(const TableSchemaPtr& table, const Cells& row);
  void update(const TableSchemaPtr& table, const Cells& row, const Cells& before = {});
  void erase(const TableSchemaPtr& table, const Cells& row);
  Row store(const Cells& cells);

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
  std::string text(std::size_t length_max);
  std::uint64_t any_customer();
  std::uint64_t any_order();
  State state() const;

  std::mt19937_64 random_;
  std::map<std::uint64_t, Customer> customers_;
  std::map<std::uint64_t, Order> orders_;
  std::vector<Visit> visits_;
  std::uint64_t last_id_ = 0;

  std::uint64_t position_ = 0;
  std::shared_ptr<Transaction> open_;
  std::vector<std::shared_ptr<Transaction>> portions_;
  Purpose purpose_ = Purpose::kChanges;

  std::vector<Delivery> deliveries_;
  std::map<std::uint64_t, State> states_;
};

}  // namespace headgate::sink::sqlite::test
