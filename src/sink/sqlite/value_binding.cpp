#include "sink/sqlite/value_binding.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/hex.hpp"
#include "core/float_text.hpp"
#include "core/value_text.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::Statement;

constexpr std::uint32_t kBigintType = 20;
constexpr std::uint32_t kSmallintType = 21;
constexpr std::uint32_t kIntegerType = 23;
constexpr std::uint32_t kOidType = 26;  // the one unsigned integer among PostgreSQL's types
constexpr std::uint32_t kRealType = 700;
constexpr std::uint32_t kDoubleType = 701;
// bpchar, text and varchar: their binary form is the text.
constexpr std::uint32_t kTextType = 25;
constexpr std::uint32_t kBpcharType = 1042;
constexpr std::uint32_t kVarcharType = 1043;

Error misfit(const BoundColumn& column, std::string_view wanted) {
  return Error{ErrorKind::kRow, fmt::format("{}: the value is not {} (type {})", column.label,
                                            wanted, column.column->native_type)};
}

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) {
    number = number << 8 | static_cast<unsigned char>(byte);
  }
  return number;
}

template <typename Number>
std::optional<Number> parse_whole(std::string_view text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc{} || stop != end || text.empty()) {
    return std::nullopt;
  }
  return number;
}

std::string text_of(const BoundColumn& column, const Value& value) {
  try {
    return value_text(*column.column, value);
  } catch (const Error& error) {
    throw Error{ErrorKind::kRow, fmt::format("{}: {}", column.label, error.what()), error.hint()};
  }
}

void bind_boolean(Statement& statement, int parameter, const BoundColumn& column,
                  const Value& value) {
  const std::string_view bytes = value.bytes();
  if (value.kind == ValueKind::kBinary) {
    if (bytes.size() != 1 || static_cast<unsigned char>(bytes[0]) > 1) {
      throw misfit(column, "a boolean");
    }
    statement.bind_integer(parameter, bytes[0]);
    return;
  }
  const bool yes = bytes == "t" || bytes == "1" || bytes == "true";
  if (!yes && bytes != "f" && bytes != "0" && bytes != "false") {
    throw misfit(column, "a boolean");
  }
  statement.bind_integer(parameter, yes ? 1 : 0);
}

// Nothing for a value of another length than its type has: it would be some other number.
std::optional<std::int64_t> binary_integer(const BoundColumn& column, std::string_view bytes) {
  const std::uint64_t number = big_endian(bytes);
  const auto of_size = [&](std::size_t size, std::int64_t value) {
    return bytes.size() == size ? std::optional(value) : std::nullopt;
  };
  switch (column.column->type_oid) {
    case kSmallintType:
      return of_size(2, static_cast<std::int16_t>(number));
    case kIntegerType:
      return of_size(4, static_cast<std::int32_t>(number));
    case kOidType:
      return of_size(4, static_cast<std::int64_t>(number));
    case kBigintType:
      return of_size(8, static_cast<std::int64_t>(number));
    default:
      return std::nullopt;
  }
}

void bind_integer(Statement& statement, int parameter, const BoundColumn& column,
                  const Value& value) {
  const auto number = value.kind == ValueKind::kBinary ? binary_integer(column, value.bytes())
                                                       : parse_whole<std::int64_t>(value.bytes());
  if (!number) {
    throw misfit(column, "an integer of at most 64 bits");
  }
  statement.bind_integer(parameter, *number);
}

// SQLite stores no NaN (it becomes NULL), prints infinities as Inf, and may store -0.0 as the
// integer 0. So these four are text, as PostgreSQL prints them; every other value is a REAL.
void bind_double(Statement& statement, int parameter, const BoundColumn& column, double number) {
  if (std::isnan(number)) {
    statement.bind_text(parameter, "NaN");
  } else if (std::isinf(number)) {
    statement.bind_text(parameter, number > 0 ? "Infinity" : "-Infinity");
  } else if (number == 0 && std::signbit(number)) {
    if (column.negative_zero_lost) {
      throw Error{ErrorKind::kRow,
                  column.label + ": the sink's column turns a negative zero into a plain one",
                  "declare the column ANY in a STRICT table, or BLOB in another"};
    }
    statement.bind_text(parameter, "-0");
  } else {
    statement.bind_real(parameter, number);
  }
}

// By the server's text, so that a real's 0.1 becomes the double 0.1 and not 0.100000001490116, and
// so that it does not matter whether the server sent text or binary.
double widen(float number) {
  return std::isfinite(number) ? parse_whole<double>(float_text(number)).value() : number;
}

void bind_float(Statement& statement, int parameter, const BoundColumn& column,
                const Value& value) {
  const std::string_view bytes = value.bytes();
  const std::uint32_t type = column.column->type_oid;
  if (value.kind == ValueKind::kText) {
    // from_chars also reads "NaN", "Infinity" and "-0".
    const auto number = parse_whole<double>(bytes);
    if (!number) {
      throw misfit(column, "a double");
    }
    bind_double(statement, parameter, column, *number);
  } else if (type == kRealType && bytes.size() == 4) {
    const auto bits = static_cast<std::uint32_t>(big_endian(bytes));
    bind_double(statement, parameter, column, widen(std::bit_cast<float>(bits)));
  } else if (type == kDoubleType && bytes.size() == 8) {
    bind_double(statement, parameter, column, std::bit_cast<double>(big_endian(bytes)));
  } else {
    throw misfit(column, "a float");
  }
}

void bind_bytes(Statement& statement, int parameter, const BoundColumn& column,
                const Value& value) {
  const std::string_view bytes = value.bytes();
  if (value.kind == ValueKind::kBinary) {
    statement.bind_blob(parameter, bytes);
    return;
  }
  const auto decoded = bytes.starts_with("\\x") ? from_hex(bytes.substr(2)) : std::nullopt;
  if (!decoded) {
    throw misfit(column, "a byte string in hex form");
  }
  statement.bind_blob_copy(parameter, *decoded);
}

void bind_text(Statement& statement, int parameter, const BoundColumn& column, const Value& value) {
  const std::uint32_t type = column.column->type_oid;
  if (value.kind == ValueKind::kText || type == kTextType || type == kVarcharType ||
      type == kBpcharType) {
    statement.bind_text(parameter, value.bytes());
  } else {
    statement.bind_text_copy(parameter, text_of(column, value));
  }
}

}  // namespace

void bind_value(Statement& statement, int parameter, const BoundColumn& column,
                const Value& value) {
  if (value.is_unchanged()) {
    throw Error{ErrorKind::kRow, column.label + ": the source did not send its value"};
  }
  if (value.is_null()) {
    statement.bind_null(parameter);
    return;
  }
  switch (column.family) {
    case TypeFamily::kBoolean:
      return bind_boolean(statement, parameter, column, value);
    case TypeFamily::kInteger:
      return bind_integer(statement, parameter, column, value);
    case TypeFamily::kFloat:
      return bind_float(statement, parameter, column, value);
    case TypeFamily::kBytes:
      return bind_bytes(statement, parameter, column, value);
    case TypeFamily::kNumeric:
    case TypeFamily::kText:
    case TypeFamily::kDate:
    case TypeFamily::kTime:
    case TypeFamily::kTimestamp:
    case TypeFamily::kTimestampTz:
    case TypeFamily::kUuid:
    case TypeFamily::kJson:
    case TypeFamily::kOther:
      return bind_text(statement, parameter, column, value);
  }
}

}  // namespace headgate::sink::sqlite
