#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

bool SqlError::ends_batch() const {
  switch (number_) {
    case 102:
    case 137:
    case 156:
    case 195:
    case 207:
    case 208:
    case 209:
    case 2812:
    case 4104:
    case 4121:
      return true;
    default:
      return ends_transaction() || severity_ >= 19;
  }
}

bool SqlError::ends_transaction() const {
  switch (number_) {
    case 241:
    case 242:
    case 245:
    case 1205:
    case 3960:
    case 3961:
    case 8114:
    case 8169:
      return true;
    default:
      return severity_ >= 20;
  }
}

SqlError syntax_error(const std::string& near) {
  return SqlError(102, "Incorrect syntax near '" + near + "'.", 15);
}

SqlError invalid_object(const std::string& name) {
  return SqlError(208, "Invalid object name '" + name + "'.");
}

SqlError invalid_column(const std::string& name) {
  return SqlError(207, "Invalid column name '" + name + "'.");
}

SqlError arithmetic_overflow(const std::string& type) {
  return SqlError(8115,
                  "Arithmetic overflow error converting expression to data type " + type + ".");
}

}  // namespace headgate::test::sqlserver
