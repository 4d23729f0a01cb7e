#include "sink/postgres/array_parameter.hpp"

#include <string_view>
#include <vector>

#include "core/value_text.hpp"
#include "sink/postgres/wire_bytes.hpp"

namespace headgate::sink::postgres {
namespace {

constexpr std::uint32_t kTextType = 25;

constexpr std::uint32_t kNullLength = 0xFFFFFFFFU;
constexpr std::size_t kHeaderSize = 20;

char* put_header(char* to, std::uint32_t element_type, std::size_t count) {
  to = put_uint32(to, 1);  // dimensions
  to = put_uint32(to, 1);  // may hold NULLs
  to = put_uint32(to, element_type);
  to = put_uint32(to, static_cast<std::uint32_t>(count));
  return put_uint32(to, 1);  // lower bound
}

// An element is its length and its bytes.
std::size_t size_of_element(std::string_view bytes) {
  return sizeof(std::uint32_t) + bytes.size();
}

char* put_element(char* to, std::string_view bytes) {
  return put_bytes(put_uint32(to, static_cast<std::uint32_t>(bytes.size())), bytes);
}

}  // namespace

// pg_type.dat, typarray. Text types are missing on purpose: their binary form is their text, and
// one transport for them means fewer statements.
std::uint32_t array_type_of(std::uint32_t type_oid) {
  switch (type_oid) {
    case 16:
      return 1000;  // boolean
    case 17:
      return 1001;  // bytea
    case 20:
      return 1016;  // bigint
    case 21:
      return 1005;  // smallint
    case 23:
      return 1007;  // integer
    case 700:
      return 1021;  // real
    case 701:
      return 1022;  // double precision
    case 1082:
      return 1182;  // date
    case 1083:
      return 1183;  // time
    case 1114:
      return 1115;  // timestamp
    case 1184:
      return 1185;  // timestamptz
    case 1700:
      return 1231;  // numeric
    case 2950:
      return 2951;  // uuid
    default:
      return 0;
  }
}

Transport transport_of(const Column& column, const Value& value) {
  return value.kind == ValueKind::kBinary && array_type_of(column.type_oid) != 0
             ? Transport::kBinary
             : Transport::kText;
}

void append_array(std::span<const Row> rows, std::size_t index, const Column& column,
                  Transport transport, std::string& out) {
  // Values that are to be printed first are the exception: they keep their texts here meanwhile.
  std::vector<std::string> printed;
  const auto prints = [&](const Value& value) {
    return transport == Transport::kText && value.kind == ValueKind::kBinary;
  };
  std::size_t size = kHeaderSize;
  for (const Row& row : rows) {
    const Value& value = row[index];
    if (prints(value)) {
      printed.push_back(value_text(column, value));
      size += size_of_element(printed.back());
    } else {
      size += size_of_element(value.bytes());
    }
  }
  const std::size_t start = out.size();
  out.resize(start + size);
  char* to = put_header(out.data() + start,
                        transport == Transport::kBinary ? column.type_oid : kTextType, rows.size());
  auto next_printed = printed.begin();
  for (const Row& row : rows) {
    const Value& value = row[index];
    if (value.is_null()) {
      to = put_uint32(to, kNullLength);
    } else {
      to = put_element(to, prints(value) ? *next_printed++ : value.bytes());
    }
  }
}

}  // namespace headgate::sink::postgres
