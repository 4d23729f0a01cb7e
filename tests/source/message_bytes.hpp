// pgoutput's messages, byte by byte, as the server writes them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate::source::postgres {

// Big-endian integers, strings with a NUL at the end.
class MessageBytes {
 public:
  explicit MessageBytes(char type) { bytes_.push_back(type); }

  MessageBytes& u8(std::uint8_t value) { return integer(value, 1); }
  MessageBytes& u16(std::uint16_t value) { return integer(value, 2); }
  MessageBytes& u32(std::uint32_t value) { return integer(value, 4); }
  MessageBytes& u64(std::uint64_t value) { return integer(value, 8); }
  MessageBytes& letter(char value) {
    bytes_.push_back(value);
    return *this;
  }
  MessageBytes& string(std::string_view text) {
    bytes_.append(text);
    bytes_.push_back('\0');
    return *this;
  }
  MessageBytes& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }

  // Columns of a row, after its count.
  MessageBytes& null_value() { return letter('n'); }
  MessageBytes& unchanged_value() { return letter('u'); }
  MessageBytes& text_value(std::string_view text) {
    return letter('t').u32(static_cast<std::uint32_t>(text.size())).raw(text);
  }
  MessageBytes& binary_value(std::string_view bytes) {
    return letter('b').u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
  }

  operator std::string() const { return bytes_; }

 private:
  MessageBytes& integer(std::uint64_t value, std::size_t size) {
    while (size-- > 0) {
      bytes_.push_back(static_cast<char>(value >> (8 * size) & 0xFFU));
    }
    return *this;
  }

  std::string bytes_;
};

}  // namespace headgate::source::postgres
