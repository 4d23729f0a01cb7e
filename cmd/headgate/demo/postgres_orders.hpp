// The shop in a PostgreSQL.

#pragma once

#include <memory>
#include <string>

#include "demo/order_database.hpp"

namespace headgate::demo {

// Its calls throw PgError.
std::unique_ptr<OrderDatabase> postgres_orders(const std::string& conninfo, int customers,
                                               int products);

}  // namespace headgate::demo
