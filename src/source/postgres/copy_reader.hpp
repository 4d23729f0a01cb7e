// The rows of COPY … TO STDOUT (FORMAT binary), one message of the server at a time.
//
// Layout: PostgreSQL documentation of COPY, "Binary Format". A message of the server holds at most
// one row; the header stands before the first row, or before the trailer of an empty table.

#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/arena.hpp"
#include "core/value.hpp"

namespace headgate::source::postgres {

// Reads the messages of one COPY. Not thread-safe.
class CopyReader {
 public:
  // Rows of `columns` values, which are binary or the server's text by what was asked for: the
  // stream itself does not tell.
  CopyReader(std::size_t columns, ValueKind kind) : columns_(columns), kind_(kind) {}

  // The row that `message` holds, copied into `arena`; nothing where it is only header or trailer.
  //
  // Throws Error{kOperator} that says what is malformed and at which byte.
  std::optional<Row> read(std::string_view message, Arena& arena);

 private:
  std::size_t columns_;
  ValueKind kind_;
  bool header_pending_ = true;
};

}  // namespace headgate::source::postgres
