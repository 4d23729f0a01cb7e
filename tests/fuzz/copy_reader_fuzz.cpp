// The binary rows of an initial copy.
//
// The first byte says how many columns there are; the messages follow, each behind its length in
// two big-endian bytes.

#include <optional>

#include "base/error.hpp"
#include "fuzz_target.hpp"
#include "source/postgres/copy_reader.hpp"

namespace headgate::fuzz {
namespace {

using source::postgres::CopyReader;

void put(std::string& bytes, std::uint32_t value, int size) {
  while (size-- > 0) {
    bytes.push_back(static_cast<char>(value >> (8 * size) & 0xFFU));
  }
}

std::string encode(Row row) {
  std::string bytes;
  put(bytes, static_cast<std::uint32_t>(row.size()), 2);
  for (const Value& value : row) {
    put(bytes, value.is_null() ? 0xFFFFFFFFU : value.size, 4);
    bytes += value.bytes();
  }
  return bytes;
}

// A message that comes after the header.
bool is_refused(std::size_t columns, std::string_view message) {
  Arena arena;
  CopyReader reader(columns, ValueKind::kText);
  reader.read({"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19}, arena);
  try {
    reader.read(ExactCopy(message).view(), arena);
    return false;
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kOperator;
  }
}

}  // namespace

HEADGATE_FUZZ_TARGET(copy_reader) {
  InputReader fields(input);
  const std::size_t columns = fields.byte() % 16;
  Arena arena;
  CopyReader reader(columns, ValueKind::kBinary);
  std::string_view rest = fields.rest();
  bool first = true;
  while (rest.size() >= 2) {
    const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(rest[0])) << 8U |
                             static_cast<unsigned char>(rest[1]);
    rest.remove_prefix(2);
    const ExactCopy message(rest.substr(0, size));
    rest.remove_prefix(message.view().size());
    std::optional<Row> row;
    try {
      row = reader.read(message.view(), arena);
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::kOperator, "malformed data is the server's fault");
      return;
    }
    if (row) {
      const std::string bytes = encode(*row);
      require(row->size() == columns, "a row has the columns that were asked for");
      require(first ? message.view().ends_with(bytes) : message.view() == bytes,
              "a row survives being encoded, and nothing beside it was in the message");
      for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        require(is_refused(columns, std::string_view(bytes).substr(0, cut)),
                "every truncation of a row is refused");
      }
      require(is_refused(columns, bytes + bytes), "a second row in a message is refused");
    }
    first = false;
  }
}

}  // namespace headgate::fuzz
