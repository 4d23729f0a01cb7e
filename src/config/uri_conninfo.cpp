#include "config/uri_conninfo.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/hex.hpp"

namespace headgate::config {
namespace {

class UriParser {
 public:
  UriParser(std::string_view scheme, std::string_view rest) : rest_(rest) {
    conninfo_.without_password = scheme;
  }

  Conninfo parse() {
    read_credentials();
    if (conninfo_.problem.empty()) {
      read_hosts();
    }
    if (conninfo_.problem.empty() && rest_.starts_with('/')) {
      rest_.remove_prefix(1);
      const std::string_view database = take_until(rest_, "?");
      conninfo_.without_password += "/" + std::string(database);
      add("dbname", database);
    }
    if (conninfo_.problem.empty() && rest_.starts_with('?')) {
      rest_.remove_prefix(1);
      read_query();
    }
    if (!conninfo_.problem.empty()) {
      return {{}, {}, conninfo_.problem};
    }
    return std::move(conninfo_);
  }

 private:
  void add(std::string keyword, std::string_view encoded) {
    const auto value = percent_decoded(encoded);
    if (!value) {
      conninfo_.problem = "the URI has a % that is not followed by two hexadecimal digits";
    } else if (!value->empty()) {
      conninfo_.parameters.emplace_back(std::move(keyword), *value);
    }
  }

  // As libpq does: up to the first @ before a slash, and a question mark does not end it.
  void read_credentials() {
    const std::string_view credentials = rest_.substr(0, rest_.find_first_of("@/"));
    if (credentials.size() == rest_.size() || rest_[credentials.size()] != '@') {
      return;
    }
    rest_.remove_prefix(credentials.size() + 1);
    const std::size_t colon = std::min(credentials.find(':'), credentials.size());
    conninfo_.without_password += std::string(credentials.substr(0, colon)) + "@";
    add("user", credentials.substr(0, colon));
    if (colon < credentials.size()) {
      add("password", credentials.substr(colon + 1));
    }
  }

  void read_hosts() {
    const std::string_view source = rest_;
    std::string hosts;
    std::string ports;
    for (;;) {
      if (rest_.starts_with('[')) {
        const std::size_t end = rest_.find(']');
        if (end == rest_.npos) {
          conninfo_.problem = "the URI has an IPv6 address without its closing bracket";
          return;
        }
        hosts += rest_.substr(1, end - 1);
        rest_.remove_prefix(end + 1);
      } else {
        hosts += take_until(rest_, ":/?,");
      }
      if (rest_.starts_with(':')) {
        rest_.remove_prefix(1);
        ports += take_until(rest_, "/?,");
      }
      if (!rest_.starts_with(',')) {
        break;
      }
      hosts += ',';
      ports += ',';
      rest_.remove_prefix(1);
    }
    // libpq would take a password's second half for a host, and then name it in its messages.
    if (hosts.find('@') != hosts.npos) {
      conninfo_.problem = "the URI has more than one @: in a user or password it is written %40";
      return;
    }
    if (ports.find_first_not_of("0123456789,") != ports.npos) {
      conninfo_.problem = "the URI has a port that is no number: in a password, / is written %2F";
      return;
    }
    if (!rest_.empty() && rest_[0] != '/' && rest_[0] != '?') {
      conninfo_.problem = "the URI has something between its host and the database";
      return;
    }
    conninfo_.without_password += source.substr(0, source.size() - rest_.size());
    add("host", hosts);
    add("port", ports);
  }

  void read_query() {
    char separator = '?';
    while (!rest_.empty() && conninfo_.problem.empty()) {
      const std::string_view pair = take_until(rest_, "&");
      rest_.remove_prefix(rest_.empty() ? 0 : 1);
      const std::size_t equals = pair.find('=');
      const auto keyword = percent_decoded(pair.substr(0, equals));
      if (equals == pair.npos || pair.rfind('=') != equals || !keyword) {
        conninfo_.problem = "the URI has a parameter after ? that is not keyword=value";
        return;
      }
      add(*keyword, pair.substr(equals + 1));
      if (*keyword != "password") {
        conninfo_.without_password += separator + std::string(pair);
        separator = '&';
      }
    }
  }

  std::string_view rest_;
  Conninfo conninfo_;
};

}  // namespace

std::optional<std::string_view> uri_after_scheme(std::string_view text) {
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (text.starts_with(scheme)) {
      return text.substr(scheme.size());
    }
  }
  return std::nullopt;
}

Conninfo parse_uri_conninfo(std::string_view text) {
  const std::string_view rest = uri_after_scheme(text).value();
  return UriParser(text.substr(0, text.size() - rest.size()), rest).parse();
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      result += text[at];
      continue;
    }
    const std::optional<std::string> byte = from_hex(text.substr(at + 1, 2));
    if (!byte || byte->size() != 1 || byte->front() == '\0') {
      return std::nullopt;
    }
    result += *byte;
    at += 2;
  }
  return result;
}

std::string_view take_until(std::string_view& rest, std::string_view ends) {
  const std::string_view taken = rest.substr(0, rest.find_first_of(ends));
  rest.remove_prefix(taken.size());
  return taken;
}

}  // namespace headgate::config
