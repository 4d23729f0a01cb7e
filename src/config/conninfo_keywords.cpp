#include "config/conninfo_keywords.hpp"

#include <algorithm>
#include <array>

namespace headgate::config {

const std::vector<std::string>& open_conninfo_keywords() {
  static const std::vector<std::string> keywords = {
      "application_name",
      "channel_binding",
      "client_encoding",
      "connect_timeout",
      "dbname",
      "fallback_application_name",
      "gssdelegation",
      "gssencmode",
      "gsslib",
      "host",
      "hostaddr",
      "keepalives",
      "keepalives_count",
      "keepalives_idle",
      "keepalives_interval",
      "krbsrvname",
      "load_balance_hosts",
      "max_protocol_version",
      "min_protocol_version",
      "oauth_client_id",
      "oauth_issuer",
      "oauth_scope",
      "options",
      "passfile",
      "port",
      "replication",
      "require_auth",
      "requirepeer",
      "requiressl",
      "service",
      "servicefile",
      "ssl",  // in a URI only, for other clients' sake
      "ssl_max_protocol_version",
      "ssl_min_protocol_version",
      "sslcert",
      "sslcertmode",
      "sslcompression",
      "sslcrl",
      "sslcrldir",
      "sslkey",
      "sslkeylogfile",
      "sslmode",
      "sslnegotiation",
      "sslrootcert",
      "sslsni",
      "target_session_attrs",
      "tcp_user_timeout",
      "user",
  };
  return keywords;
}

bool is_open_conninfo_keyword(std::string_view keyword) {
  const std::vector<std::string>& keywords = open_conninfo_keywords();
  return std::find(keywords.begin(), keywords.end(), keyword) != keywords.end();
}

bool is_secret_conninfo_keyword(std::string_view keyword) {
  constexpr std::array<std::string_view, 5> kKeywords = {
      "oauth_client_secret", "password", "scram_client_key", "scram_server_key", "sslpassword",
  };
  return std::find(kKeywords.begin(), kKeywords.end(), keyword) != kKeywords.end();
}

}  // namespace headgate::config
