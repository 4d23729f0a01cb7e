// One column of one row, in the bytes in which it arrived.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace headgate {

enum class ValueKind : std::uint8_t {
  kNull,
  kUnchanged,  // the source did not send it: an out-of-line value that the update left alone
  kText,       // as the source server prints it, in UTF-8
  kBinary,     // PostgreSQL's send format (big-endian; documented per type in its source)
};

// Points into the arena of the transaction that owns the row: valid as long as that lives. NULL and
// the empty string differ by kind, never by size.
struct Value {
  const char* data = nullptr;
  std::uint32_t size = 0;
  ValueKind kind = ValueKind::kNull;

  static Value null() { return {}; }
  static Value unchanged() { return {nullptr, 0, ValueKind::kUnchanged}; }
  static Value text(std::string_view bytes) { return make(bytes, ValueKind::kText); }
  static Value binary(std::string_view bytes) { return make(bytes, ValueKind::kBinary); }

  bool is_null() const { return kind == ValueKind::kNull; }
  bool is_unchanged() const { return kind == ValueKind::kUnchanged; }
  std::string_view bytes() const { return {data, size}; }

  // Same kind and same bytes. Whether two values are equal *in SQL* only the server knows.
  friend bool operator==(const Value& a, const Value& b) {
    return a.kind == b.kind && a.bytes() == b.bytes();
  }

 private:
  static Value make(std::string_view bytes, ValueKind kind) {
    return {bytes.data(), static_cast<std::uint32_t>(bytes.size()), kind};
  }
};

// One value per column of the table's schema, in its order; empty where the source sent no such
// row.
using Row = std::span<const Value>;

}  // namespace headgate
