// The bytes of TDS 7.4 replies, for odbc_tds_responder.hpp: what a server would send, token by
// token. From MS-TDS 2.2.7 as sections 7.3 to 7.6 of our facts have it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::test::tds {

// UTF-16LE of UTF-8 that is well formed.
std::string utf16(std::string_view utf8);
std::string utf8(std::string_view utf16);
// An integer of `size` bytes, least significant first.
std::string little(std::uint64_t value, std::size_t size);

// A column as COLMETADATA describes it.
struct Column {
  std::string name;
  std::string type;  // type token and what follows it
};

// The types, then what a row holds for them (with its length in front).
std::string int_type(int bytes);  // tinyint 1 … bigint 8
std::string bit_type();
std::string float_type(int bytes);                                 // real 4, float 8
std::string nvarchar_type(int units);                              // 0: max
std::string varchar_type(int bytes, bool utf8_collation = false);  // 0: max
std::string binary_type(int bytes);                                // fixed
std::string varbinary_type(int bytes);                             // 0: max
std::string decimal_type(int precision, int scale);
std::string date_type();
std::string datetime2_type(int scale);
std::string variant_type();
std::string xml_type();

std::string int_value(std::int64_t value, int bytes);
std::string float_value(double value);
std::string bytes_value(std::string_view bytes);  // with a length of 2 bytes
std::string short_value(std::string_view bytes);  // with a length of 1 byte; none: NULL
std::string null_bytes();                         // of the types with a length of 2 bytes
// Of the max types, in chunks that may end anywhere.
std::string long_value(std::string_view bytes, std::size_t chunk = 1000);
std::string null_long();
std::string decimal_value(std::uint64_t magnitude, bool negative);
std::string date_value(std::uint32_t days_since_year_1);
std::string datetime2_value(std::uint64_t units_of_100ns, std::uint32_t days_since_year_1);

// The tokens.
std::string columns(const std::vector<Column>& columns);
std::string row(const std::vector<std::string>& values);
std::string error(int number, int severity, std::string_view text);
std::string info(int number, std::string_view text);
std::string environment_change(int type, std::string_view after, std::string_view before);
std::string transaction_change(int type, std::uint64_t after, std::uint64_t before);
std::string collation_change();
std::string login_acknowledgement();
std::string return_status(int value);
std::string prepared_handle(int value);  // a RETURNVALUE

enum DoneStatus : unsigned {
  kDoneFinal = 0,
  kDoneMore = 1,
  kDoneError = 2,
  kDoneCount = 0x10,
  kDoneAttention = 0x20,
};
std::string done(unsigned status = kDoneFinal, std::uint64_t count = 0);
std::string done_insert(unsigned status, std::uint64_t count);
// In the answer to a call, in place of done(); what ends the answer is the responder's.
std::string done_in_procedure(std::uint64_t count);
std::string done_procedure();

}  // namespace headgate::test::tds
