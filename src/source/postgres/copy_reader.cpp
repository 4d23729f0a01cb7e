#include "source/postgres/copy_reader.hpp"

#include <cstdint>

#include "source/postgres/wire_reader.hpp"

namespace headgate::source::postgres {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignature = "PGCOPY\n\377\r\n\0"sv;
// A reader must refuse what it does not know of the upper half of the flags.
constexpr std::uint32_t kCriticalFlags = 0xFFFF0000U;

void skip_header(WireReader& reader) {
  if (reader.take(kSignature.size()) != kSignature) {
    throw reader.malformed("it does not begin as COPY's binary format does");
  }
  if ((reader.integer<std::uint32_t>() & kCriticalFlags) != 0) {
    throw reader.malformed("it is of an unknown version");
  }
  reader.take(reader.integer<std::uint32_t>());
}

}  // namespace

std::optional<Row> CopyReader::read(std::string_view message, Arena& arena) {
  WireReader reader(message, "COPY data");
  if (header_pending_) {
    skip_header(reader);
    header_pending_ = false;
    if (reader.left() == 0) {
      return std::nullopt;  // the header came alone
    }
  }
  const auto count = reader.integer<std::int16_t>();
  if (count == -1) {
    reader.expect_end();
    return std::nullopt;  // the trailer; the end of COPY itself follows
  }
  if (count < 0 || static_cast<std::size_t>(count) != columns_) {
    throw reader.malformed("a row has another number of columns than its table");
  }
  const auto row = arena.array<Value>(columns_);
  for (Value& value : row) {
    const auto size = reader.integer<std::int32_t>();
    if (size < -1) {
      throw reader.malformed("a value of negative size");
    }
    if (size >= 0) {
      const std::string_view bytes = arena.copy(reader.take(static_cast<std::size_t>(size)));
      value = kind_ == ValueKind::kBinary ? Value::binary(bytes) : Value::text(bytes);
    }
  }
  // A second row in the message would be lost without a word.
  reader.expect_end();
  return row;
}

}  // namespace headgate::source::postgres
