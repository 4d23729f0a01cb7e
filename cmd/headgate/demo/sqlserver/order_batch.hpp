// What happens in the shop, in T-SQL: the text of one transaction at a time, a batch that a server
// runs in one go. The actions are those of demo/order_actions.hpp.

#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace headgate::demo::sqlserver {

// One batch. After it the invariant of order_schema.hpp holds again, whatever it found in the
// tables. Between transactions with READ_COMMITTED_SNAPSHOT, as Azure SQL Database has it: readers
// do not wait. Used once; not thread-safe.
class OrderBatch {
 public:
  OrderBatch(std::mt19937_64& random, int customers, int products);

  // From BEGIN TRAN to COMMIT or, about one in twenty, ROLLBACK.
  const std::string& sql() const { return sql_; }
  bool commits() const { return commits_; }

 private:
  void any();
  void place();
  void place_many();
  void pay();
  void cancel();
  void correct();
  void renumber();
  void archive();
  void move_customer();
  void touch_customer();
  void relabel();
  void change_prices();
  void undone();

  void add_line(int line, std::int64_t product);
  void change_balance(const std::string& action);
  void release_lines(bool sold);
  // What follows, up to end_found(), happens only if there is such an order that nobody holds.
  void find_order(const std::string& state, bool oldest);
  void end_found() { sql_ += "END;\n"; }

  std::int64_t number(std::int64_t low, std::int64_t high);
  bool chance(double probability);

  std::mt19937_64& random_;
  int customers_;
  int products_;
  std::string sql_;
  bool commits_;
};

}  // namespace headgate::demo::sqlserver
