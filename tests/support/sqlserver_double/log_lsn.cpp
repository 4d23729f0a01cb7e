#include "support/sqlserver_double/log_lsn.hpp"

#include <array>
#include <cstdio>

namespace headgate::test::sqlserver {

namespace {

std::uint64_t number_at(const Lsn& lsn, std::size_t from, std::size_t length) {
  std::uint64_t number = 0;
  for (std::size_t at = from; at < from + length; ++at) {
    number = (number << 8) | static_cast<unsigned char>(lsn[at]);
  }
  return number;
}

}  // namespace

Lsn make_lsn(std::uint32_t file, std::uint32_t block, std::uint16_t slot) {
  Lsn lsn;
  for (int shift = 24; shift >= 0; shift -= 8) {
    lsn.push_back(static_cast<char>(file >> shift));
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    lsn.push_back(static_cast<char>(block >> shift));
  }
  lsn.push_back(static_cast<char>(slot >> 8));
  lsn.push_back(static_cast<char>(slot & 0xFF));
  return lsn;
}

Lsn zero_lsn() {
  return Lsn(10, '\0');
}

Lsn next_lsn(Lsn lsn) {
  for (std::size_t at = lsn.size(); at-- > 0;) {
    if (++lsn[at] != '\0') {
      break;
    }
  }
  return lsn;
}

Lsn previous_lsn(Lsn lsn) {
  for (std::size_t at = lsn.size(); at-- > 0;) {
    if (lsn[at]-- != '\0') {
      break;
    }
  }
  return lsn;
}

std::string colon_text(const Lsn& lsn) {
  std::array<char, 32> text{};
  std::snprintf(
      text.data(), text.size(), "%08x:%08x:%04x", static_cast<unsigned>(number_at(lsn, 0, 4)),
      static_cast<unsigned>(number_at(lsn, 4, 4)), static_cast<unsigned>(number_at(lsn, 8, 2)));
  return text.data();
}

std::string hex_text(const Lsn& lsn) {
  std::string text = "0x";
  for (const char c : lsn) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02X", static_cast<unsigned char>(c));
    text += digits.data();
  }
  return text;
}

Int128 decimal_lsn(const Lsn& lsn) {
  return Int128{number_at(lsn, 0, 4)} * power_of_ten(15) +
         Int128{number_at(lsn, 4, 4)} * power_of_ten(5) + Int128{number_at(lsn, 8, 2)};
}

Lsn LsnSource::next_record() {
  if (slot_ == 0xFFF0) {  // a block of a huge transaction is full
    block_ += 8;
    slot_ = 0;
  }
  ++slot_;
  return last();
}

Lsn LsnSource::next_commit() {
  const Lsn lsn = next_record();
  block_ += 8 + slot_ / 16;
  slot_ = 0;
  if (block_ > 0x00FF0000) {
    ++file_;
    block_ = 0x10;
  }
  return lsn;
}

}  // namespace headgate::test::sqlserver
