#include "config/redact_conninfo.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "config/conninfo_keywords.hpp"
#include "config/keyword_conninfo.hpp"
#include "config/uri_conninfo.hpp"

namespace headgate::config {
namespace {

constexpr std::string_view kMask = "***";

std::string redact_keywords(std::string_view text) {
  std::string result;
  KeywordConninfoParser parser(text);
  const auto append = [&](std::string_view part) {
    result += result.empty() ? "" : " ";
    result += part;
  };
  while (const auto parameter = parser.next()) {
    if (is_open_conninfo_keyword(parameter->keyword)) {
      append(parameter->source);
    } else if (is_secret_conninfo_keyword(parameter->keyword)) {
      append(parameter->keyword + "=" + std::string(kMask));
    } else {
      append(kMask);  // an unknown keyword may be a piece of a password that lacks its quotes
    }
  }
  if (!parser.problem().empty()) {
    append(kMask);
  }
  return result;
}

// What stands between the first colon and the last @ may be a password, even one with an @, a slash
// or a question mark in it that should have been escaped.
std::string redact_credentials(std::string_view rest) {
  const std::size_t at = rest.rfind('@');
  if (at == rest.npos) {
    return std::string(rest);
  }
  const std::size_t colon = std::min(rest.find(':'), at);
  return std::string(rest.substr(0, colon)) + (colon < at ? ":" + std::string(kMask) : "") +
         std::string(rest.substr(at));
}

std::string redact_query(std::string_view query) {
  std::string result;
  char separator = '?';
  while (!query.empty()) {
    const std::string_view pair = take_until(query, "&");
    query.remove_prefix(query.empty() ? 0 : 1);
    const auto keyword = percent_decoded(pair.substr(0, pair.find('=')));
    // With a second ? libpq may have found the query's begin elsewhere: behind a user's name with
    // an unescaped one in it.
    const bool is_pair = keyword && pair.find('=') != pair.npos && pair.find('?') == pair.npos;
    if (is_pair && is_open_conninfo_keyword(*keyword)) {
      result += separator + std::string(pair);
    } else if (is_pair && is_secret_conninfo_keyword(*keyword)) {
      result += separator + *keyword + "=" + std::string(kMask);
    } else {
      result += separator + std::string(kMask);
    }
    separator = '&';
  }
  return result;
}

}  // namespace

std::string redact_conninfo(const std::string& conninfo) {
  const std::string_view text = conninfo;
  const auto rest = uri_after_scheme(text);
  if (!rest) {
    return redact_keywords(text);
  }
  const std::string scheme(text.substr(0, text.size() - rest->size()));
  const std::string shown = redact_credentials(*rest);
  const std::size_t query = std::min(shown.find('?'), shown.size());
  return scheme + shown.substr(0, query) +
         (query < shown.size() ? redact_query(std::string_view(shown).substr(query + 1)) : "");
}

}  // namespace headgate::config
