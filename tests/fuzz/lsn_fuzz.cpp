// LSNs: from a server, from a sink's position table, from the command line.

#include <cctype>

#include "base/error.hpp"
#include "core/lsn.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

// The digits that say something: without zeros before a group, prefix and case.
std::string significant(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    const bool separator = c == '/' || c == ':' || c == 'x' || c == 'X';
    const bool leading = digits.empty() || digits.back() == '|';
    if (separator) {
      digits += '|';
    } else if (c != '0' || !leading) {
      digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return digits;
}

}  // namespace

HEADGATE_FUZZ_TARGET(lsn) {
  const ExactCopy text(input);
  try {
    const LSN lsn = LSN::parse(text.view());
    const std::size_t size = lsn.bytes().size();
    require(size == LSN::kPostgresSize || size == LSN::kSqlServerSize,
            "what is parsed is an LSN of one of the servers");
    const std::string printed = input[1] == 'x' || input[1] == 'X' ? lsn.to_hex() : lsn.to_string();
    require(significant(printed) == significant(input), "no digit is lost");
    require(LSN::parse(lsn.to_string()).bytes() == lsn.bytes(), "the server's notation reads back");
    require(LSN::parse(lsn.to_hex()).bytes() == lsn.bytes(), "the stored notation reads back");
    require(LSN::from_bytes(lsn.bytes()).bytes() == lsn.bytes(), "bytes read back");
    require(
        size != LSN::kPostgresSize || LSN::from_postgres(lsn.to_postgres()).bytes() == lsn.bytes(),
        "a number reads back");
    require(LSN::compare(lsn, LSN{}) == (lsn.is_zero() ? 0 : 1), "no LSN is before every other");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "what is no LSN is a person's concern");
  }
}

}  // namespace headgate::fuzz
