// __$update_mask: which captured columns an update has changed.

#pragma once

#include <cstddef>
#include <string_view>

namespace headgate::source::sqlserver {

// Whether the bit of the column with `ordinal` (column_ordinal of cdc.captured_columns, from 1) is
// set. Bits are counted from the end: the lowest ordinals stand in the last byte (sqlserver-cdc
// 1.6). False for a mask that is too short for the column.
inline bool is_changed(std::string_view mask, std::size_t ordinal) {
  const std::size_t byte = (ordinal - 1) / 8;
  if (ordinal == 0 || byte >= mask.size()) {
    return false;
  }
  const auto bits = static_cast<unsigned char>(mask[mask.size() - 1 - byte]);
  return (bits >> ((ordinal - 1) % 8) & 1U) != 0;
}

}  // namespace headgate::source::sqlserver
