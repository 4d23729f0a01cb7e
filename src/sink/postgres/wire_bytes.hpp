// Integers in the byte order of PostgreSQL's protocol and binary formats.

#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace headgate::sink::postgres {

// Each writes at `to`, where there is room, and returns the place behind.

inline char* put_uint16(char* to, std::uint16_t value) {
  to[0] = static_cast<char>(value >> 8U);
  to[1] = static_cast<char>(value & 0xFFU);
  return to + 2;
}

inline char* put_uint32(char* to, std::uint32_t value) {
  to = put_uint16(to, static_cast<std::uint16_t>(value >> 16U));
  return put_uint16(to, static_cast<std::uint16_t>(value & 0xFFFFU));
}

inline char* put_bytes(char* to, std::string_view bytes) {
  if (!bytes.empty()) {
    std::memcpy(to, bytes.data(), bytes.size());
  }
  return to + bytes.size();
}

}  // namespace headgate::sink::postgres
