// CREATE TABLE for the databases under test that speak SQL.

#pragma once

#include <functional>
#include <string>

#include "sink_under_test.hpp"

namespace headgate::sink_contract {

// Where SQL databases differ.
struct SqlDialect {
  std::function<std::string(const TableName&)> name_of;
  std::function<std::string(const Column&)> type_of;
  std::string unique_suffix;     // lets a unique constraint be checked late
  std::string reference_suffix;  // the same for a foreign key
  std::string table_suffix;
};

// In double quotes, as the standard has it.
std::string quoted(const std::string& name);

std::string create_table_sql(const SqlDialect& dialect, const SinkConfig& table,
                             const TableRules& rules);

// All columns of `table`, joined by commas.
std::string column_list(const SinkConfig& table,
                        const std::function<std::string(const Column&)>& expression);

}  // namespace headgate::sink_contract
