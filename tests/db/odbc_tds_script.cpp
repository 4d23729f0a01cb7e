#include "odbc_tds_script.hpp"

#include <bit>
#include <stdexcept>

#include "db/odbc/utf16.hpp"

namespace headgate::test::tds {
namespace {

constexpr std::string_view kCollation1252("\x09\x04\xD0\x00\x34", 5);
constexpr std::string_view kCollationUtf8("\x09\x04\xD0\x04\x00", 5);
constexpr std::string_view kMax("\xFF\xFF", 2);

std::string byte(std::uint64_t value) {
  return little(value, 1);
}

std::string short_text(std::string_view text) {
  const std::string units = utf16(text);
  return byte(units.size() / 2) + units;
}

std::string long_text(std::string_view text) {
  const std::string units = utf16(text);
  return little(units.size() / 2, 2) + units;
}

std::string sized(char token, const std::string& body) {
  return token + little(body.size(), 2) + body;
}

std::string message(char token, int number, int severity, std::string_view text) {
  return sized(token, little(static_cast<std::uint32_t>(number), 4) + byte(1) +
                          byte(static_cast<unsigned>(severity)) + long_text(text) +
                          short_text("DOUBLE") + short_text("") + little(1, 4));
}

std::string length_or_max(int bytes) {
  return bytes == 0 ? std::string(kMax) : little(static_cast<std::uint64_t>(bytes), 2);
}

// The number of the command that is done: SELECT, whose count is of rows sent, or INSERT.
constexpr unsigned kSelect = 0xC1;
constexpr unsigned kInsert = 0xC3;

std::string done_token(char token, unsigned status, unsigned command, std::uint64_t count) {
  return token + little(status, 2) + little(command, 2) + little(count, 8);
}

}  // namespace

std::string utf16(std::string_view utf8_text) {
  const auto units = odbc::to_utf16(utf8_text);
  if (!units) {
    throw std::invalid_argument("not UTF-8");
  }
  std::string bytes;
  for (const char16_t unit : *units) {
    bytes += little(unit, 2);
  }
  return bytes;
}

std::string utf8(std::string_view bytes) {
  std::u16string units;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    units.push_back(static_cast<char16_t>(static_cast<unsigned char>(bytes[i]) |
                                          static_cast<unsigned char>(bytes[i + 1]) << 8));
  }
  std::string text;
  odbc::append_utf8(units, text);
  return text;
}

std::string little(std::uint64_t value, std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  }
  return bytes;
}

std::string int_type(int bytes) {
  return '\x26' + byte(static_cast<unsigned>(bytes));
}
std::string bit_type() {
  return "\x68\x01";
}
std::string float_type(int bytes) {
  return '\x6D' + byte(static_cast<unsigned>(bytes));
}
std::string nvarchar_type(int units) {
  return '\xE7' + length_or_max(units * 2) + std::string(kCollation1252);
}
std::string varchar_type(int bytes, bool utf8_collation) {
  return '\xA7' + length_or_max(bytes) +
         std::string(utf8_collation ? kCollationUtf8 : kCollation1252);
}
std::string binary_type(int bytes) {
  return '\xAD' + length_or_max(bytes);
}
std::string varbinary_type(int bytes) {
  return '\xA5' + length_or_max(bytes);
}
std::string decimal_type(int precision, int scale) {
  return "\x6A\x11" + byte(static_cast<unsigned>(precision)) + byte(static_cast<unsigned>(scale));
}
std::string date_type() {
  return "\x28";
}
std::string datetime2_type(int scale) {
  return '\x2A' + byte(static_cast<unsigned>(scale));
}
std::string variant_type() {
  return '\x62' + little(8009, 4);
}
std::string xml_type() {
  return std::string("\xF1\0", 2);
}

std::string int_value(std::int64_t value, int bytes) {
  return byte(static_cast<unsigned>(bytes)) +
         little(static_cast<std::uint64_t>(value), static_cast<std::size_t>(bytes));
}
std::string float_value(double value) {
  return byte(8) + little(std::bit_cast<std::uint64_t>(value), 8);
}
std::string bytes_value(std::string_view bytes) {
  return little(bytes.size(), 2) + std::string(bytes);
}
std::string short_value(std::string_view bytes) {
  return byte(bytes.size()) + std::string(bytes);
}
std::string null_bytes() {
  return std::string(kMax);
}
std::string long_value(std::string_view bytes, std::size_t chunk) {
  std::string value = little(bytes.size(), 8);
  for (std::size_t at = 0; at < bytes.size(); at += chunk) {
    const std::string_view piece = bytes.substr(at, chunk);
    value += little(piece.size(), 4) + std::string(piece);
  }
  return value + little(0, 4);
}
std::string null_long() {
  return std::string(8, '\xFF');
}
std::string decimal_value(std::uint64_t magnitude, bool negative) {
  return byte(17) + byte(negative ? 0 : 1) + little(magnitude, 8) + little(0, 8);
}
std::string date_value(std::uint32_t days) {
  return byte(3) + little(days, 3);
}
std::string datetime2_value(std::uint64_t units_of_100ns, std::uint32_t days) {
  return byte(8) + little(units_of_100ns, 5) + little(days, 3);
}

std::string columns(const std::vector<Column>& list) {
  std::string token = '\x81' + little(list.size(), 2);
  for (const Column& column : list) {
    token += little(0, 4) + little(9, 2) + column.type + short_text(column.name);
  }
  return token;
}

std::string row(const std::vector<std::string>& values) {
  std::string token = "\xD1";
  for (const std::string& value : values) {
    token += value;
  }
  return token;
}

std::string error(int number, int severity, std::string_view text) {
  return message('\xAA', number, severity, text);
}
std::string info(int number, std::string_view text) {
  return message('\xAB', number, 0, text);
}

std::string environment_change(int type, std::string_view after, std::string_view before) {
  return sized('\xE3', byte(static_cast<unsigned>(type)) + short_text(after) + short_text(before));
}

std::string transaction_change(int type, std::uint64_t after, std::uint64_t before) {
  const auto descriptor = [](std::uint64_t number) {
    return number == 0 ? byte(0) : byte(8) + little(number, 8);
  };
  return sized('\xE3', byte(static_cast<unsigned>(type)) + descriptor(after) + descriptor(before));
}

std::string collation_change() {
  return sized('\xE3', "\x07\x05" + std::string(kCollation1252) + byte(0));
}

std::string login_acknowledgement() {
  return sized('\xAD', std::string("\x01\x74\x00\x00\x04", 5) + short_text("Microsoft SQL Server") +
                           std::string("\x10\x00\x10\x2B", 4));
}

std::string return_status(int value) {
  return '\x79' + little(static_cast<std::uint32_t>(value), 4);
}

std::string prepared_handle(int value) {
  return '\xAC' + little(0, 2) + byte(0) + byte(1) + little(0, 4) + little(0, 2) +
         std::string("\x26\x04\x04") + little(static_cast<std::uint32_t>(value), 4);
}

std::string done(unsigned status, std::uint64_t count) {
  return done_token('\xFD', status, kSelect, count);
}
std::string done_insert(unsigned status, std::uint64_t count) {
  return done_token('\xFD', status | kDoneCount, kInsert, count);
}
std::string done_in_procedure(std::uint64_t count) {
  return done_token('\xFF', kDoneCount | kDoneMore, kSelect, count);
}
std::string done_procedure() {
  return done_token('\xFE', 0, 0xE0, 0);
}

}  // namespace headgate::test::tds
