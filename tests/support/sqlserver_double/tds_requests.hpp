// What clients ask: prelogin, login, remote procedure calls.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/sqlserver_double/session.hpp"

namespace headgate::test::sqlserver {

// How the server answers the client's wish for encryption; the double speaks no TLS.
enum class EncryptionAnswer { kNotSupported = 2 };

std::string prelogin_reply(EncryptionAnswer encryption, int major_version);

struct LoginRequest {
  std::string host;
  std::string user;
  std::string password;
  std::string application;
  std::string database;
  std::size_t packet_size = 4096;
  bool read_only_intent = false;
};

// Throws MalformedRequest.
LoginRequest parse_login(std::string_view body);

// Of a batch or an RPC, what stands behind ALL_HEADERS.
std::string_view without_headers(std::string_view body);

struct RpcRequest {
  std::string procedure;  // by name, also where the client sent a number
  std::vector<NamedValue> arguments;
};

RpcRequest parse_rpc(std::string_view body);

}  // namespace headgate::test::sqlserver
