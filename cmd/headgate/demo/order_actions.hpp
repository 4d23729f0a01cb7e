// What happens in the shop: each action is the body of one transaction over several tables.

#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "demo/pg_session.hpp"

namespace headgate::demo {

// Runs actions inside a transaction that its caller begins and ends. After each, the invariant of
// order_schema.hpp holds again. Not thread-safe; one per worker.
class OrderActions {
 public:
  // The session must outlive this object.
  OrderActions(PgSession& session, std::mt19937_64& random, int customers, int products);

  // One action by weight; some first do something else and roll it back to a savepoint.
  void any();

  void place();           // order, 1 to 5 lines, stock, balance, audit
  void place_many();      // 20 orders: a transaction of some hundred changes
  void pay();             // one or two payments, state, balance, audit
  void cancel();          // lines and order deleted, stock and balance restored, audit
  void correct();         // a line's quantity changed or a line removed; stock, totals, audit
  void renumber();        // the lines of an order get other keys
  void archive();         // an old paid order leaves with its lines and payments
  void move_customer();   // an address of more than 2 kB, stored out of line
  void touch_customer();  // updates that leave that address unchanged
  void relabel();         // the key of a price label changes
  void change_prices();   // many products and their labels
  void undone();          // something that a savepoint rolls back

 private:
  std::int64_t number(std::int64_t low, std::int64_t high);
  bool chance(double probability);
  std::string customer();
  std::string product();
  // The first order from id `from` on that is in `state` and that nobody holds, locked; empty when
  // there is none.
  std::string lock_order(const std::string& state, std::int64_t from);
  // One by chance.
  std::string lock_open_order();
  std::int64_t add_line(const std::string& order, int line, const std::string& wanted);
  void change_balance(const std::string& order, std::int64_t delta_cents,
                      const std::string& action);
  void release_lines(const std::string& order, bool sold);

  PgSession& session_;
  std::mt19937_64& random_;
  int customers_;
  int products_;
};

}  // namespace headgate::demo
