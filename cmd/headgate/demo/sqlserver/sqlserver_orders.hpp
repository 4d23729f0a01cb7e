// The shop in a SQL Server, through ODBC.

#pragma once

#include <memory>
#include <string>

#include "db/odbc/connection.hpp"
#include "demo/order_database.hpp"

namespace headgate::demo::sqlserver {

// A session as an application has it: `role` stands for it in errors.
odbc::ConnectOptions application(const std::string& connection_string, const std::string& role);

// create_schema() only inserts the first rows: the tables are there already, and captured. Its
// calls throw odbc::OdbcError.
std::unique_ptr<OrderDatabase> sqlserver_orders(const std::string& connection_string, int customers,
                                                int products);

}  // namespace headgate::demo::sqlserver
