// The tables of order_schema.hpp in T-SQL: the same names and rules, SQL Server's types.

#pragma once

#include <string>

namespace headgate::demo::sqlserver {

// Makes schema `shop` with its empty tables, all enabled for change data capture. A batch for a
// sysadmin; the database must not have CDC yet.
std::string order_tables_script();

// The first rows, in one transaction: customers and products count from 1.
std::string order_rows_script(int customers, int products);

}  // namespace headgate::demo::sqlserver
