// The tables of the order workload, and what is true of them at every commit.

#pragma once

#include <string>
#include <vector>

namespace headgate::demo {

// All tables, as `schema.table`, parents first.
std::vector<std::string> order_tables();

// The script that makes schema `shop` and fills it. audit_log has no key; addresses are long enough
// to be stored out of line; two columns of customers and products are nullable.
std::string order_schema_script(int customers, int products);

// One statement that returns a row (rule, key, stored, computed) for each thing that is wrong, and
// none at any state that the source ever committed. It is SQL that both PostgreSQL and SQLite read.
//
//   order total     an order's total_cents is the sum of its lines
//   open balance    a customer's balance_cents is the sum of his open orders
//   stock           a product's stock, and what the lines hold, is what it was given
//   payment         a paid order's payments sum to its total; an open order has none
//   label           a price label shows its product's price
//   orphan line     every line and payment has its order
//   audit           the audit log's deltas sum to all open balances
//
// Each rule spans tables and is broken inside every transaction of the workload, so a torn, lost,
// repeated or reordered transaction shows.
//
// For a PostgreSQL database, with the schema that holds the tables there; and for a SQLite mirror,
// where the table is called "shop.orders" in one name.
std::string order_invariant_postgres(const std::string& schema = "shop");
std::string order_invariant_sqlite();

}  // namespace headgate::demo
