// The SQL Server side of row_stream.hpp: values as PostgreSQL would print them.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "db/odbc/connection.hpp"
#include "demo/row_stream.hpp"

namespace headgate::demo::sqlserver {

// The tables of the source as `schema.table` names, with their columns, in types of PostgreSQL that
// stand for theirs, and their primary key.
//
// Throws odbc::OdbcError, or Error{kOperator} when a table does not exist or has a column of a type
// that is not compared.
std::vector<ComparedTable> describe_tables(odbc::Connection& source,
                                           const std::vector<std::string>& names);

// Keeps one transaction of isolation level SNAPSHOT open in the session, which must outlive the
// object and be used for nothing else. Holds one table in memory, since a server's collations do
// not sort byte by byte: for tables of a demo's size.
std::unique_ptr<RowSource> sqlserver_rows(odbc::Connection& session);

}  // namespace headgate::demo::sqlserver
