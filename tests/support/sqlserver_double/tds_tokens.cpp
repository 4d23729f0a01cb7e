#include "support/sqlserver_double/tds_tokens.hpp"

#include <algorithm>

namespace headgate::test::sqlserver {

namespace {

void put_counted(std::string& bytes, std::uint8_t token, const std::string& body) {
  put_u8(bytes, token);
  put_u16(bytes, body.size());
  bytes += body;
}

}  // namespace

void put_done(std::string& bytes, const Done& done) {
  put_u8(bytes, static_cast<std::uint8_t>(done.token));
  put_u16(bytes, (done.more ? 1u : 0u) | (done.error ? 2u : 0u) | (done.count ? 0x10u : 0u) |
                     (done.attention ? 0x20u : 0u));
  put_u16(bytes, done.is_select ? 0xC1 : 0xC3);
  put_u64(bytes, static_cast<std::uint64_t>(done.count.value_or(0)));
}

void put_metadata(std::string& bytes, const std::vector<RowsetColumn>& columns) {
  put_u8(bytes, 0x81);
  put_u16(bytes, columns.size());
  for (const RowsetColumn& column : columns) {
    put_u32(bytes, column.type.kind == TypeKind::kRowVersion ? 80 : 0);
    put_u16(bytes, 8u | (column.nullable ? 1u : 0u));
    put_type(bytes, column.type, true);
    put_b_varchar(bytes, column.name);
  }
}

void put_row(std::string& bytes, const std::vector<RowsetColumn>& columns, const Row& row,
             const ChunkRules& chunks) {
  const auto nulls = static_cast<std::size_t>(std::count_if(row.begin(), row.end(), is_null));
  const bool compressed = nulls * 2 > row.size() && row.size() > 2;
  put_u8(bytes, compressed ? 0xD2 : 0xD1);
  if (compressed) {
    std::string bitmap((row.size() + 7) / 8, '\0');
    for (std::size_t at = 0; at < row.size(); ++at) {
      if (is_null(row[at])) {
        bitmap[at / 8] =
            static_cast<char>(static_cast<unsigned char>(bitmap[at / 8]) | (1u << (at % 8)));
      }
    }
    bytes += bitmap;
  }
  for (std::size_t at = 0; at < row.size(); ++at) {
    if (!compressed || !is_null(row[at])) {
      put_value(bytes, columns[at].type, row[at], chunks);
    }
  }
}

void put_message(std::string& bytes, const SqlError& error, const std::string& server,
                 bool as_error) {
  std::string body;
  put(body, static_cast<std::int32_t>(error.number()));
  put_u8(body, static_cast<std::size_t>(error.state()));
  put_u8(body, static_cast<std::size_t>(error.severity()));
  put_us_varchar(body, error.what());
  put_b_varchar(body, server);
  put_b_varchar(body, "");
  put_u32(body, 1);
  put_counted(bytes, as_error || error.severity() > 10 ? 0xAA : 0xAB, body);
}

void put_environment(std::string& bytes, int kind, const std::string& now,
                     const std::string& before) {
  std::string body;
  put_u8(body, static_cast<std::size_t>(kind));
  put_b_varchar(body, now);
  put_b_varchar(body, before);
  put_counted(bytes, 0xE3, body);
}

void put_binary_environment(std::string& bytes, int kind, const std::string& now,
                            const std::string& before) {
  std::string body;
  put_u8(body, static_cast<std::size_t>(kind));
  put_u8(body, now.size());
  body += now;
  put_u8(body, before.size());
  body += before;
  put_counted(bytes, 0xE3, body);
}

void put_login_acknowledgement(std::string& bytes, int major_version) {
  std::string body;
  put_u8(body, 1);
  body += std::string("\x74\0\0\x04", 4);
  put_b_varchar(body, "Microsoft SQL Server");
  put_u8(body, static_cast<std::size_t>(major_version));
  body += std::string("\0\x10\x27", 3);
  put_counted(bytes, 0xAD, body);
}

void put_return_status(std::string& bytes, std::int32_t status) {
  put_u8(bytes, 0x79);
  put(bytes, status);
}

void put_return_value(std::string& bytes, const std::string& name, std::int32_t value) {
  const SqlType type = type_of(TypeKind::kInt);
  put_u8(bytes, 0xAC);
  put_u16(bytes, 0);
  put_b_varchar(bytes, name);
  put_u8(bytes, 1);
  put_u32(bytes, 0);
  put_u16(bytes, 0);
  put_type(bytes, type, false);
  put_value(bytes, type, Value(std::int64_t{value}), {});
}

}  // namespace headgate::test::sqlserver
