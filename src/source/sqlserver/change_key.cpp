#include "source/sqlserver/change_key.hpp"

#include <string>

#include "base/check.hpp"

namespace headgate::source::sqlserver {

LSN increment(const LSN& lsn) {
  std::string bytes(lsn.bytes());
  HEADGATE_CHECK(bytes.size() == LSN::kSqlServerSize, "a SQL Server LSN has ten bytes");
  bool carry = true;
  for (auto byte = bytes.rbegin(); carry && byte != bytes.rend(); ++byte) {
    const auto next = static_cast<unsigned char>(static_cast<unsigned char>(*byte) + 1);
    *byte = static_cast<char>(next);
    carry = next == 0;
  }
  HEADGATE_CHECK(!carry, "no LSN stands behind the greatest");
  return LSN::from_bytes(bytes);
}

LSN decrement(const LSN& lsn) {
  std::string bytes(lsn.bytes());
  HEADGATE_CHECK(bytes.size() == LSN::kSqlServerSize, "a SQL Server LSN has ten bytes");
  bool borrow = true;
  for (auto byte = bytes.rbegin(); borrow && byte != bytes.rend(); ++byte) {
    borrow = *byte == 0;
    *byte = static_cast<char>(static_cast<unsigned char>(*byte) - 1);
  }
  HEADGATE_CHECK(!borrow, "no LSN stands before zero");
  return LSN::from_bytes(bytes);
}

}  // namespace headgate::source::sqlserver
