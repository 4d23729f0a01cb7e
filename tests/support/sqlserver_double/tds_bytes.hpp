// Numbers and counted strings of the wire.

#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

// A request that ends early or says what it must not.
class MalformedRequest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <typename Number>
void put(std::string& bytes, Number number) {
  using Bits = std::make_unsigned_t<Number>;
  const auto bits = static_cast<Bits>(number);
  for (std::size_t at = 0; at < sizeof(Number); ++at) {
    bytes.push_back(static_cast<char>(static_cast<std::uint64_t>(bits) >> (8 * at)));
  }
}
inline void put_u8(std::string& bytes, std::size_t number) {
  put(bytes, static_cast<std::uint8_t>(number));
}
inline void put_u16(std::string& bytes, std::size_t number) {
  put(bytes, static_cast<std::uint16_t>(number));
}
inline void put_u32(std::string& bytes, std::size_t number) {
  put(bytes, static_cast<std::uint32_t>(number));
}
inline void put_u64(std::string& bytes, std::uint64_t number) {
  put(bytes, number);
}

// B_VARCHAR and US_VARCHAR: counted in UTF-16 units.
inline void put_b_varchar(std::string& bytes, std::string_view utf8) {
  const std::u16string text = utf16_of_utf8(utf8);
  put_u8(bytes, text.size());
  bytes += bytes_of_utf16(text);
}
inline void put_us_varchar(std::string& bytes, std::string_view utf8) {
  const std::u16string text = utf16_of_utf8(utf8);
  put_u16(bytes, text.size());
  bytes += bytes_of_utf16(text);
}

// Reads from the front of a message; throws MalformedRequest at its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  std::string_view rest() const { return bytes_; }

  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) {
      throw MalformedRequest("a request ends early");
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  template <typename Number>
  Number number() {
    const std::string_view taken = take(sizeof(Number));
    std::uint64_t value = 0;
    for (std::size_t at = sizeof(Number); at-- > 0;) {
      value = (value << 8) | static_cast<unsigned char>(taken[at]);
    }
    return static_cast<Number>(value);
  }
  std::uint8_t u8() { return number<std::uint8_t>(); }
  std::uint16_t u16() { return number<std::uint16_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  // A text of so many UTF-16 units, in UTF-8.
  std::string text(std::size_t units) { return utf8_of_utf16(utf16_of_bytes(take(units * 2))); }

 private:
  std::string_view bytes_;
};

}  // namespace headgate::test::sqlserver
