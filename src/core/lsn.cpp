#include "core/lsn.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hex.hpp"

namespace headgate {
namespace {

// The whole of `digits` as a hexadecimal number of at most `digits_max` digits.
std::optional<std::uint64_t> parse_hex_number(std::string_view digits, std::size_t digits_max) {
  std::uint64_t value = 0;
  if (digits.empty() || digits.size() > digits_max) {
    return std::nullopt;
  }
  const char* end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, value, 16);
  if (failure != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return value;
}

void put_big_endian(unsigned char* place, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i-- > 0;) {
    place[i] = static_cast<unsigned char>(value & 0xFF);
    value >>= 8;
  }
}

std::uint64_t get_big_endian(const unsigned char* place, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = value << 8 | place[i];
  }
  return value;
}

Error not_an_lsn(std::string_view text) {
  return Error{
      ErrorKind::kOperator, fmt::format("\"{}\" is not an LSN", text),
      "write it as the server prints it (16/B374D848, 00000027:00000ac0:0002) or as 0x-hex"};
}

std::optional<LSN> parse_postgres(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const auto high = parse_hex_number(text.substr(0, slash), 8);
  const auto low = parse_hex_number(text.substr(slash + 1), 8);
  if (!high || !low) {
    return std::nullopt;
  }
  return LSN::from_postgres(*high << 32 | *low);
}

std::optional<LSN> parse_sql_server(std::string_view text) {
  // Three groups of 8, 8 and 4 digits: file sequence, block, slot.
  const auto first = text.find(':');
  const auto second = text.find(':', first == std::string_view::npos ? first : first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) {
    return std::nullopt;
  }
  const auto file = parse_hex_number(text.substr(0, first), 8);
  const auto block = parse_hex_number(text.substr(first + 1, second - first - 1), 8);
  const auto slot = parse_hex_number(text.substr(second + 1), 4);
  if (!file || !block || !slot) {
    return std::nullopt;
  }
  std::array<unsigned char, LSN::kSqlServerSize> bytes{};
  put_big_endian(bytes.data(), *file, 4);
  put_big_endian(bytes.data() + 4, *block, 4);
  put_big_endian(bytes.data() + 8, *slot, 2);
  std::string packed(bytes.begin(), bytes.end());
  return LSN::from_bytes(packed);
}

}  // namespace

LSN LSN::from_postgres(std::uint64_t value) {
  LSN lsn;
  lsn.size_ = kPostgresSize;
  put_big_endian(lsn.bytes_.data(), value, kPostgresSize);
  return lsn;
}

LSN LSN::from_bytes(std::string_view bytes) {
  if (!bytes.empty() && bytes.size() != kPostgresSize && bytes.size() != kSqlServerSize) {
    throw Error{ErrorKind::kOperator,
                fmt::format("an LSN has 8 or 10 bytes, not {}", bytes.size())};
  }
  LSN lsn;
  lsn.size_ = static_cast<std::uint8_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), lsn.bytes_.begin());
  return lsn;
}

LSN LSN::parse(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X")) {
    const auto bytes = from_hex(text.substr(2));
    if (bytes && (bytes->size() == kPostgresSize || bytes->size() == kSqlServerSize)) {
      return from_bytes(*bytes);
    }
    throw not_an_lsn(text);
  }
  if (const auto lsn = parse_postgres(text)) {
    return *lsn;
  }
  if (const auto lsn = parse_sql_server(text)) {
    return *lsn;
  }
  throw not_an_lsn(text);
}

std::uint64_t LSN::to_postgres() const {
  HEADGATE_CHECK(size_ != kSqlServerSize, "a SQL Server LSN does not fit into 64 bits");
  return get_big_endian(bytes_.data(), size_);
}

std::string LSN::to_string() const {
  if (size_ == kPostgresSize) {
    const std::uint64_t value = to_postgres();
    return fmt::format("{:X}/{:X}", value >> 32, value & 0xFFFFFFFFU);
  }
  if (size_ == kSqlServerSize) {
    return fmt::format("{:08x}:{:08x}:{:04x}", get_big_endian(bytes_.data(), 4),
                       get_big_endian(bytes_.data() + 4, 4), get_big_endian(bytes_.data() + 8, 2));
  }
  return {};
}

std::string LSN::to_hex() const {
  return size_ == 0 ? std::string{} : "0x" + headgate::to_hex(bytes());
}

std::string_view LSN::bytes() const {
  return {reinterpret_cast<const char*>(bytes_.data()), size_};
}

bool LSN::is_zero() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](unsigned char byte) { return byte == 0; });
}

int LSN::compare(const LSN& a, const LSN& b) {
  const bool a_zero = a.is_zero();
  const bool b_zero = b.is_zero();
  if (a_zero || b_zero) {
    return static_cast<int>(b_zero) - static_cast<int>(a_zero);
  }
  HEADGATE_CHECK(a.size_ == b.size_, "LSNs of different server kinds have no order");
  return std::memcmp(a.bytes_.data(), b.bytes_.data(), a.size_);
}

}  // namespace headgate
