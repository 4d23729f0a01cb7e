// What happened to a row, with SQL Server's codes (cdc.<capture_instance>_CT.__$operation).

#pragma once

#include <cstdint>
#include <string_view>

namespace headgate {

enum class Operation : std::uint8_t {
  kDelete = 1,
  kInsert = 2,
  kUpdateBefore = 3,
  kUpdateAfter = 4,
  // Every row of the table at once. No code of SQL Server's: it logs none, PostgreSQL does.
  kTruncate = 5,
};

constexpr std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::kDelete:
      return "DELETE";
    case Operation::kInsert:
      return "INSERT";
    case Operation::kUpdateBefore:
      return "UPDATE_BEFORE";
    case Operation::kUpdateAfter:
      return "UPDATE_AFTER";
    case Operation::kTruncate:
      return "TRUNCATE";
  }
  return "UNKNOWN";
}

}  // namespace headgate
