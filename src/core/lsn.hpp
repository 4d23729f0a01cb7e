// A log sequence number: the place of a record in a server's log, as an ordered string of bytes.

#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

// 10 bytes on SQL Server (virtual log file, block, slot), 8 big-endian bytes on PostgreSQL, none
// when there is no LSN yet. Two LSNs are only ever compared within one server's history.
//
// A plain value: copyable, no allocation, safe from any thread.
class LSN {
 public:
  static constexpr std::size_t kPostgresSize = 8;
  static constexpr std::size_t kSqlServerSize = 10;

  // No LSN: before everything.
  LSN() = default;

  static LSN from_postgres(std::uint64_t value);

  // `bytes` as SQL Server's binary(10) or PostgreSQL's eight big-endian bytes; empty for none.
  // Throws Error{kOperator} for another length.
  static LSN from_bytes(std::string_view bytes);

  // Reads every notation that we or the servers print: `16/B374D848` (PostgreSQL),
  // `00000027:00000ac0:0002` (SQL Server), and 0x-hex of either length, as stored.
  // Throws Error{kOperator} when `text` is none of these.
  static LSN parse(std::string_view text);

  // As an integer; REQUIRES a PostgreSQL LSN or none (0).
  std::uint64_t to_postgres() const;

  // In the server's own notation, to be pasted into psql or sqlcmd; "" for none.
  std::string to_string() const;

  // 0x-hex, as it is stored; "" for none.
  std::string to_hex() const;

  std::string_view bytes() const;

  // True for no LSN and for one whose bytes are all zero (PostgreSQL's InvalidXLogRecPtr).
  bool is_zero() const;

  // Negative, zero or positive. Any zero LSN equals any other and stands before the rest.
  // REQUIRES: both of one server kind, unless one is zero.
  static int compare(const LSN& a, const LSN& b);

  static LSN min(const LSN& a, const LSN& b) { return compare(a, b) <= 0 ? a : b; }

  friend bool operator==(const LSN& a, const LSN& b) { return compare(a, b) == 0; }
  friend std::strong_ordering operator<=>(const LSN& a, const LSN& b) {
    return compare(a, b) <=> 0;
  }

 private:
  std::array<unsigned char, kSqlServerSize> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace headgate
