#include "support/sqlserver_double/tds_types.hpp"

#include <algorithm>
#include <bit>

#include "support/sqlserver_double/convert.hpp"

namespace headgate::test::sqlserver {

namespace {

constexpr std::string_view kCollation("\x09\x04\xD0\x00\x34", 5);  // code page 1252
constexpr std::string_view kUtf8Collation("\x09\x04\xD0\x04\x00", 5);
constexpr std::uint64_t kPlpNull = ~std::uint64_t{0};
constexpr std::uint64_t kPlpUnknown = ~std::uint64_t{1};

std::string_view collation_of(const SqlType& type) {
  return type.utf8 ? kUtf8Collation : kCollation;
}

std::uint8_t token_of(TypeKind kind) {
  switch (kind) {
    case TypeKind::kBit:
      return 0x68;
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInt:
    case TypeKind::kBigInt:
      return 0x26;
    case TypeKind::kReal:
    case TypeKind::kFloat:
      return 0x6D;
    case TypeKind::kSmallMoney:
    case TypeKind::kMoney:
      return 0x6E;
    case TypeKind::kDecimal:
      return 0x6A;
    case TypeKind::kNumeric:
      return 0x6C;
    case TypeKind::kDate:
      return 0x28;
    case TypeKind::kTime:
      return 0x29;
    case TypeKind::kSmallDateTime:
    case TypeKind::kDateTime:
      return 0x6F;
    case TypeKind::kDateTime2:
      return 0x2A;
    case TypeKind::kDateTimeOffset:
      return 0x2B;
    case TypeKind::kChar:
      return 0xAF;
    case TypeKind::kVarChar:
      return 0xA7;
    case TypeKind::kNChar:
      return 0xEF;
    case TypeKind::kNVarChar:
      return 0xE7;
    case TypeKind::kText:
      return 0x23;
    case TypeKind::kNText:
      return 0x63;
    case TypeKind::kImage:
      return 0x22;
    case TypeKind::kBinary:
    case TypeKind::kRowVersion:
      return 0xAD;
    case TypeKind::kVarBinary:
      return 0xA5;
    case TypeKind::kUniqueIdentifier:
      return 0x24;
    case TypeKind::kXml:
      return 0xF1;
    case TypeKind::kHierarchyId:
    case TypeKind::kGeography:
    case TypeKind::kGeometry:
      return 0xF0;
    case TypeKind::kVariant:
      return 0x62;
  }
  return 0;
}

std::string text_bytes(const SqlType& type, const Value& value) {
  const std::u16string& text = text_of(value);
  return type.is_unicode() ? bytes_of_utf16(text)
         : type.utf8       ? utf8_of_utf16(text)
                           : cp1252_of_utf16(text);
}

// Characters of UTF-8 may take four bytes where the type counts one.
std::size_t byte_length(const SqlType& type) {
  const auto length = static_cast<std::size_t>(std::max(1, type.length));
  return type.is_unicode() ? length * 2 : length;
}

void put_plp(std::string& bytes, std::string_view data, const ChunkRules& chunks) {
  put_u64(bytes, chunks.known_length ? data.size() : kPlpUnknown);
  const std::size_t most = std::max<std::size_t>(1, chunks.chunk_bytes);
  while (!data.empty()) {
    const std::size_t size = std::min(most, data.size());
    put_u32(bytes, size);
    bytes += data.substr(0, size);
    data.remove_prefix(size);
  }
  put_u32(bytes, 0);
}

void put_time(std::string& bytes, std::int64_t ticks, int scale) {
  std::int64_t units = ticks;
  for (int i = scale; i < 7; ++i) {
    units /= 10;
  }
  const int size = scale <= 2 ? 3 : scale <= 4 ? 4 : 5;
  for (int at = 0; at < size; ++at) {
    bytes.push_back(static_cast<char>(units >> (8 * at)));
  }
}

void put_day(std::string& bytes, std::int32_t day) {
  for (int at = 0; at < 3; ++at) {
    bytes.push_back(static_cast<char>(day >> (8 * at)));
  }
}

// The data of a value of a type of fixed or short length, without its length byte.
std::string short_data(const SqlType& type, const Value& value) {
  std::string data;
  switch (type.kind) {
    case TypeKind::kBit:
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInt:
    case TypeKind::kBigInt:
      put_u64(data, static_cast<std::uint64_t>(integer_of(value)));
      data.resize(static_cast<std::size_t>(type.max_length()));
      break;
    case TypeKind::kReal:
      put(data, std::bit_cast<std::uint32_t>(static_cast<float>(std::get<double>(value))));
      break;
    case TypeKind::kFloat:
      put(data, std::bit_cast<std::uint64_t>(std::get<double>(value)));
      break;
    case TypeKind::kSmallMoney:
      put(data, static_cast<std::int32_t>(std::get<Int128>(value)));
      break;
    case TypeKind::kMoney: {
      const auto units = static_cast<std::int64_t>(std::get<Int128>(value));
      put(data, static_cast<std::int32_t>(units >> 32));
      put(data, static_cast<std::uint32_t>(units & 0xFFFFFFFF));
      break;
    }
    case TypeKind::kDecimal:
    case TypeKind::kNumeric: {
      const Int128 units = std::get<Int128>(value);
      put_u8(data, units < 0 ? 0 : 1);
      auto magnitude =
          units < 0 ? UInt128{0} - static_cast<UInt128>(units) : static_cast<UInt128>(units);
      for (int at = 1; at < type.max_length(); ++at) {
        data.push_back(static_cast<char>(static_cast<std::uint64_t>(magnitude & 0xFF)));
        magnitude >>= 8;
      }
      break;
    }
    case TypeKind::kDate:
      put_day(data, std::get<Moment>(value).day);
      break;
    case TypeKind::kTime:
      put_time(data, std::get<Moment>(value).ticks, type.scale);
      break;
    case TypeKind::kDateTime2:
    case TypeKind::kDateTimeOffset:
      put_time(data, std::get<Moment>(value).ticks, type.scale);
      put_day(data, std::get<Moment>(value).day);
      if (type.kind == TypeKind::kDateTimeOffset) {
        put(data, std::get<Moment>(value).offset);
      }
      break;
    case TypeKind::kDateTime: {
      const Moment& moment = std::get<Moment>(value);
      put(data, moment.day - kDayOf1900);
      put(data,
          static_cast<std::uint32_t>((moment.ticks * 300 + kTicksPerSecond / 2) / kTicksPerSecond));
      break;
    }
    case TypeKind::kSmallDateTime: {
      const Moment& moment = std::get<Moment>(value);
      put_u16(data, static_cast<std::size_t>(moment.day - kDayOf1900));
      put_u16(data, static_cast<std::size_t>(moment.ticks / (60 * kTicksPerSecond)));
      break;
    }
    default:
      data = bytes_of(value);
      break;
  }
  return data;
}

// Inside a sql_variant types of fixed length have tokens of their own.
std::uint8_t variant_token(TypeKind kind) {
  switch (kind) {
    case TypeKind::kBit:
      return 0x32;
    case TypeKind::kTinyInt:
      return 0x30;
    case TypeKind::kSmallInt:
      return 0x34;
    case TypeKind::kInt:
      return 0x38;
    case TypeKind::kBigInt:
      return 0x7F;
    case TypeKind::kReal:
      return 0x3B;
    case TypeKind::kFloat:
      return 0x3E;
    case TypeKind::kMoney:
      return 0x3C;
    case TypeKind::kSmallMoney:
      return 0x7A;
    case TypeKind::kDateTime:
      return 0x3D;
    case TypeKind::kSmallDateTime:
      return 0x3A;
    default:
      return token_of(kind);
  }
}

void put_variant(std::string& bytes, const TypedValue& inner) {
  std::string properties;
  std::string data;
  const SqlType& type = inner.type;
  if (type.is_text()) {
    properties += collation_of(type);
    data = text_bytes(type, inner.value);
    put_u16(properties, std::max(byte_length(type), data.size()));
  } else if (type.is_bytes()) {
    data = bytes_of(inner.value);
    put_u16(properties, std::max(byte_length(type), data.size()));
  } else {
    data = short_data(type, inner.value);
    if (type.kind == TypeKind::kDecimal || type.kind == TypeKind::kNumeric) {
      put_u8(properties, static_cast<std::size_t>(type.precision));
      put_u8(properties, static_cast<std::size_t>(type.scale));
    } else if (type.kind == TypeKind::kTime || type.kind == TypeKind::kDateTime2 ||
               type.kind == TypeKind::kDateTimeOffset) {
      put_u8(properties, static_cast<std::size_t>(type.scale));
    }
  }
  put_u32(bytes, 2 + properties.size() + data.size());
  put_u8(bytes, variant_token(type.kind));
  put_u8(bytes, properties.size());
  bytes += properties + data;
}

bool is_string(const SqlType& type) {
  return type.kind == TypeKind::kChar || type.kind == TypeKind::kVarChar ||
         type.kind == TypeKind::kNChar || type.kind == TypeKind::kNVarChar ||
         type.kind == TypeKind::kBinary || type.kind == TypeKind::kVarBinary ||
         type.kind == TypeKind::kRowVersion;
}

bool is_old_large(const SqlType& type) {
  return type.kind == TypeKind::kText || type.kind == TypeKind::kNText ||
         type.kind == TypeKind::kImage;
}

}  // namespace

void put_type(std::string& bytes, const SqlType& type, bool in_metadata) {
  put_u8(bytes, token_of(type.kind));
  if (is_string(type)) {
    put_u16(bytes, type.is_max() ? 0xFFFF : byte_length(type));
    bytes += type.is_text() ? collation_of(type) : std::string_view();
  } else if (is_old_large(type)) {
    put_u32(bytes, type.kind == TypeKind::kNText ? 0x7FFFFFFE : 0x7FFFFFFF);
    bytes += type.is_text() ? collation_of(type) : std::string_view();
    if (in_metadata) {
      put_u8(bytes, 1);
      put_us_varchar(bytes, "t");
    }
  } else if (type.kind == TypeKind::kXml) {
    put_u8(bytes, 0);
  } else if (type.is_udt()) {
    put_u16(bytes, 0xFFFF);
    put_b_varchar(bytes, "master");
    put_b_varchar(bytes, "sys");
    put_b_varchar(bytes, name_of(type));
    put_us_varchar(bytes, "Microsoft.SqlServer.Types");
  } else if (type.kind == TypeKind::kVariant) {
    put_u32(bytes, 8009);
  } else if (type.kind == TypeKind::kDecimal || type.kind == TypeKind::kNumeric) {
    put_u8(bytes, static_cast<std::size_t>(type.max_length()));
    put_u8(bytes, static_cast<std::size_t>(type.precision));
    put_u8(bytes, static_cast<std::size_t>(type.scale));
  } else if (type.kind == TypeKind::kTime || type.kind == TypeKind::kDateTime2 ||
             type.kind == TypeKind::kDateTimeOffset) {
    put_u8(bytes, static_cast<std::size_t>(type.scale));
  } else if (type.kind != TypeKind::kDate) {
    put_u8(bytes, static_cast<std::size_t>(type.max_length()));
  }
}

void put_value(std::string& bytes, const SqlType& type, const Value& value,
               const ChunkRules& chunks) {
  const bool plp =
      type.kind == TypeKind::kXml || type.is_udt() || (is_string(type) && type.is_max());
  if (is_null(value)) {
    if (plp) {
      put_u64(bytes, kPlpNull);
    } else if (is_string(type)) {
      put_u16(bytes, 0xFFFF);
    } else if (type.kind == TypeKind::kVariant) {
      put_u32(bytes, 0);
    } else {
      put_u8(bytes, 0);
    }
    return;
  }
  if (plp) {
    put_plp(bytes, type.is_text() ? text_bytes(type, value) : bytes_of(value), chunks);
  } else if (is_string(type)) {
    const std::string data = type.is_text() ? text_bytes(type, value) : bytes_of(value);
    put_u16(bytes, data.size());
    bytes += data;
  } else if (is_old_large(type)) {
    const std::string data = type.is_text() ? text_bytes(type, value) : bytes_of(value);
    put_u8(bytes, 16);
    bytes += std::string(16, 'p') + std::string(8, 't');
    put_u32(bytes, data.size());
    bytes += data;
  } else if (type.kind == TypeKind::kVariant) {
    put_variant(bytes, *std::get<7>(value));
  } else {
    const std::string data = short_data(type, value);
    put_u8(bytes, data.size());
    bytes += data;
  }
}

namespace {

std::string read_plp(ByteReader& reader, bool& null) {
  const std::uint64_t total = reader.u64();
  std::string data;
  null = total == kPlpNull;
  while (!null) {
    const std::uint32_t size = reader.u32();
    if (size == 0) {
      break;
    }
    data += reader.take(size);
  }
  return data;
}

std::int64_t signed_of(std::string_view data) {
  std::uint64_t value =
      !data.empty() && data.size() > 1 && (data.back() & '\x80') != 0 ? ~std::uint64_t{0} : 0;
  for (std::size_t at = data.size(); at-- > 0;) {
    value = (value << 8) | static_cast<unsigned char>(data[at]);
  }
  return static_cast<std::int64_t>(value);
}

std::uint64_t unsigned_of(std::string_view data) {
  std::uint64_t value = 0;
  for (std::size_t at = data.size(); at-- > 0;) {
    value = (value << 8) | static_cast<unsigned char>(data[at]);
  }
  return value;
}

Moment read_moment(const SqlType& type, std::string_view data) {
  Moment moment;
  if (type.kind == TypeKind::kDateTime) {
    moment.day = kDayOf1900 + static_cast<std::int32_t>(signed_of(data.substr(0, 4)));
    moment.ticks = static_cast<std::int64_t>(unsigned_of(data.substr(4))) * kTicksPerSecond / 300;
    return moment;
  }
  if (type.kind == TypeKind::kSmallDateTime) {
    moment.day = kDayOf1900 + static_cast<std::int32_t>(unsigned_of(data.substr(0, 2)));
    moment.ticks = static_cast<std::int64_t>(unsigned_of(data.substr(2))) * 60 * kTicksPerSecond;
    return moment;
  }
  if (type.kind == TypeKind::kDateTimeOffset) {
    moment.offset = static_cast<std::int16_t>(signed_of(data.substr(data.size() - 2)));
    data.remove_suffix(2);
  }
  if (type.kind != TypeKind::kTime) {
    moment.day = static_cast<std::int32_t>(unsigned_of(data.substr(data.size() - 3)));
    data.remove_suffix(3);
  }
  if (type.kind != TypeKind::kDate) {
    moment.ticks = static_cast<std::int64_t>(unsigned_of(data));
    for (int i = type.scale; i < 7; ++i) {
      moment.ticks *= 10;
    }
  }
  return moment;
}

Value read_short(const SqlType& type, std::string_view data) {
  if (data.empty()) {
    return Null{};
  }
  switch (type.kind) {
    case TypeKind::kBit:
    case TypeKind::kTinyInt:
    case TypeKind::kSmallInt:
    case TypeKind::kInt:
    case TypeKind::kBigInt:
      return signed_of(data);
    case TypeKind::kReal:
      return static_cast<double>(
          std::bit_cast<float>(static_cast<std::uint32_t>(unsigned_of(data))));
    case TypeKind::kFloat:
      return std::bit_cast<double>(unsigned_of(data));
    case TypeKind::kSmallMoney:
      return Int128{signed_of(data)};
    case TypeKind::kMoney:
      return Int128{signed_of(data.substr(0, 4))} * (Int128{1} << 32) +
             Int128{unsigned_of(data.substr(4))};
    case TypeKind::kDecimal:
    case TypeKind::kNumeric: {
      UInt128 magnitude = 0;
      for (std::size_t at = data.size(); at-- > 1;) {
        magnitude = (magnitude << 8) | static_cast<unsigned char>(data[at]);
      }
      const auto units = static_cast<Int128>(magnitude);
      return data[0] == 0 ? -units : units;
    }
    case TypeKind::kUniqueIdentifier:
      return std::string(data);
    default:
      return read_moment(type, data);
  }
}

TypedValue read_string(ByteReader& reader, TypeKind kind) {
  TypedValue result;
  result.type = type_of(kind);
  const std::uint16_t most = reader.u16();
  const bool text = result.type.is_text();
  const std::string_view collation = text ? reader.take(5) : std::string_view();
  result.type.utf8 = text && !result.type.is_unicode() && (collation[3] & 4) != 0;
  std::string data;
  bool null = false;
  if (most == 0xFFFF) {
    result.type.length = kMaxLength;
    data = read_plp(reader, null);
  } else {
    result.type.length = std::max(1, result.type.is_unicode() ? most / 2 : most);
    const std::uint16_t size = reader.u16();
    null = size == 0xFFFF;
    data = null ? std::string() : std::string(reader.take(size));
  }
  if (!null) {
    result.value = !text                      ? Value(data)
                   : result.type.is_unicode() ? Value(utf16_of_bytes(data))
                   : result.type.utf8         ? Value(utf16_of_utf8(data))
                                              : Value(utf16_of_cp1252(data));
  }
  return result;
}

TypedValue read_old_large(ByteReader& reader, TypeKind kind) {
  TypedValue result;
  const bool text = kind != TypeKind::kImage;
  result.type = text ? text_type(kMaxLength, kind == TypeKind::kNText) : binary_type(kMaxLength);
  result.type.length = kMaxLength;
  reader.u32();
  if (text) {
    reader.take(5);
  }
  const auto size = reader.number<std::int32_t>();
  if (size >= 0) {
    const std::string data(reader.take(static_cast<std::size_t>(size)));
    result.value = !text                      ? Value(data)
                   : kind == TypeKind::kNText ? Value(utf16_of_bytes(data))
                                              : Value(utf16_of_cp1252(data));
  }
  return result;
}

SqlType sized(std::uint8_t token, std::uint8_t size) {
  switch (token) {
    case 0x26:
      return type_of(size == 1   ? TypeKind::kTinyInt
                     : size == 2 ? TypeKind::kSmallInt
                     : size == 4 ? TypeKind::kInt
                                 : TypeKind::kBigInt);
    case 0x6D:
      return type_of(size == 4 ? TypeKind::kReal : TypeKind::kFloat);
    case 0x6E:
      return type_of(size == 4 ? TypeKind::kSmallMoney : TypeKind::kMoney);
    case 0x6F:
      return type_of(size == 4 ? TypeKind::kSmallDateTime : TypeKind::kDateTime);
    case 0x24:
      return type_of(TypeKind::kUniqueIdentifier);
    default:
      return type_of(TypeKind::kBit);
  }
}

}  // namespace

TypedValue read_typed_value(ByteReader& reader) {
  const std::uint8_t token = reader.u8();
  TypedValue result;
  switch (token) {
    case 0x26:
    case 0x6D:
    case 0x6E:
    case 0x6F:
    case 0x68:
    case 0x24:
      result.type = sized(token, reader.u8());
      break;
    case 0x6A:
    case 0x6C: {
      reader.u8();
      const int precision = reader.u8();
      result.type = decimal_type(precision, reader.u8());
      break;
    }
    case 0x28:
      result.type = type_of(TypeKind::kDate);
      break;
    case 0x29:
    case 0x2A:
    case 0x2B:
      result.type = type_of(token == 0x29   ? TypeKind::kTime
                            : token == 0x2A ? TypeKind::kDateTime2
                                            : TypeKind::kDateTimeOffset);
      result.type.scale = reader.u8();
      break;
    case 0xAF:
      return read_string(reader, TypeKind::kChar);
    case 0xA7:
      return read_string(reader, TypeKind::kVarChar);
    case 0xEF:
      return read_string(reader, TypeKind::kNChar);
    case 0xE7:
      return read_string(reader, TypeKind::kNVarChar);
    case 0xAD:
      return read_string(reader, TypeKind::kBinary);
    case 0xA5:
      return read_string(reader, TypeKind::kVarBinary);
    case 0x23:
      return read_old_large(reader, TypeKind::kText);
    case 0x63:
      return read_old_large(reader, TypeKind::kNText);
    case 0x22:
      return read_old_large(reader, TypeKind::kImage);
    default:
      throw MalformedRequest("a parameter of type token " + std::to_string(token));
  }
  const std::uint8_t size = reader.u8();
  result.value = read_short(result.type, reader.take(size));
  return result;
}

}  // namespace headgate::test::sqlserver
