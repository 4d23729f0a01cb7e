#include "support/sqlserver_double/tds_requests.hpp"

#include "support/sqlserver_double/tds_types.hpp"

namespace headgate::test::sqlserver {

namespace {

void put_big_endian(std::string& bytes, std::size_t number) {
  bytes.push_back(static_cast<char>(number >> 8));
  bytes.push_back(static_cast<char>(number & 0xFF));
}

// Nibbles swapped, then XOR 0xA5.
std::string unscrambled(std::string_view bytes) {
  std::string clear;
  for (const char c : bytes) {
    const unsigned byte = static_cast<unsigned char>(c) ^ 0xA5u;
    clear.push_back(static_cast<char>(((byte << 4) | (byte >> 4)) & 0xFF));
  }
  return clear;
}

std::string procedure_named(std::uint16_t id) {
  switch (id) {
    case 10:
      return "sp_executesql";
    case 11:
      return "sp_prepare";
    case 12:
      return "sp_execute";
    case 13:
      return "sp_prepexec";
    case 15:
      return "sp_unprepare";
    default:
      return "procedure number " + std::to_string(id);
  }
}

}  // namespace

std::string prelogin_reply(EncryptionAnswer encryption, int major_version) {
  std::string version(6, '\0');
  version[0] = static_cast<char>(major_version);
  const std::vector<std::string> values = {version, std::string(1, static_cast<char>(encryption)),
                                           std::string(1, '\0'), "", std::string(1, '\0')};
  std::string header;
  std::string data;
  for (std::size_t option = 0; option < values.size(); ++option) {
    header.push_back(static_cast<char>(option));
    put_big_endian(header, values.size() * 5 + 1 + data.size());
    put_big_endian(header, values[option].size());
    data += values[option];
  }
  return header + '\xFF' + data;
}

LoginRequest parse_login(std::string_view body) {
  LoginRequest login;
  ByteReader fixed(body);
  fixed.take(8);
  login.packet_size = fixed.u32();
  fixed.take(12);
  fixed.take(2);
  login.read_only_intent = (fixed.u8() & 0x20) != 0;
  fixed.take(9);
  std::vector<std::string_view> fields;
  for (int field = 0; field < 9; ++field) {
    const std::size_t offset = fixed.u16();
    const std::size_t units = fixed.u16();
    const bool extension = field == 5;
    if (!extension && offset + units * 2 > body.size()) {
      throw MalformedRequest("a login whose fields lie outside of it");
    }
    fields.push_back(extension ? std::string_view() : body.substr(offset, units * 2));
  }
  const auto text = [](std::string_view bytes) { return utf8_of_utf16(utf16_of_bytes(bytes)); };
  login.host = text(fields[0]);
  login.user = text(fields[1]);
  login.password = text(unscrambled(fields[2]));
  login.application = text(fields[3]);
  login.database = text(fields[8]);
  return login;
}

std::string_view without_headers(std::string_view body) {
  ByteReader reader(body);
  const std::size_t length = reader.u32();
  if (length < 4 || length > body.size()) {
    throw MalformedRequest("a request whose headers do not fit");
  }
  return body.substr(length);
}

RpcRequest parse_rpc(std::string_view body) {
  RpcRequest request;
  ByteReader reader(without_headers(body));
  const std::uint16_t length = reader.u16();
  request.procedure = length == 0xFFFF ? procedure_named(reader.u16()) : reader.text(length);
  reader.u16();
  while (!reader.at_end()) {
    const auto next = static_cast<unsigned char>(reader.rest()[0]);
    if (next == 0xFF || next == 0x80) {
      throw MalformedRequest("several calls in one request");
    }
    NamedValue argument;
    argument.name = reader.text(reader.u8());
    reader.u8();
    argument.value = read_typed_value(reader);
    request.arguments.push_back(std::move(argument));
  }
  return request;
}

}  // namespace headgate::test::sqlserver
