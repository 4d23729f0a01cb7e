#include "sink/postgres/array_parameter.hpp"

#include "core/value_text.hpp"

namespace headgate::sink::postgres {
namespace {

constexpr std::uint32_t kTextType = 25;

void put_uint32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xFF));
  }
}

void put_element(std::string& out, std::string_view bytes) {
  put_uint32(out, static_cast<std::uint32_t>(bytes.size()));
  out.append(bytes);
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
  put_uint32(out, 1);  // dimensions
  put_uint32(out, 1);  // may hold NULLs
  put_uint32(out, transport == Transport::kBinary ? column.type_oid : kTextType);
  put_uint32(out, static_cast<std::uint32_t>(rows.size()));
  put_uint32(out, 1);  // lower bound
  for (const Row& row : rows) {
    const Value& value = row[index];
    if (value.is_null()) {
      put_uint32(out, 0xFFFFFFFFU);
    } else if (transport == Transport::kText && value.kind == ValueKind::kBinary) {
      put_element(out, value_text(column, value));
    } else {
      put_element(out, value.bytes());
    }
  }
}

}  // namespace headgate::sink::postgres
