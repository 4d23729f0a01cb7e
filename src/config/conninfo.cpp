#include "config/conninfo.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "config/keyword_conninfo.hpp"
#include "config/uri_conninfo.hpp"

namespace headgate::config {
namespace {

Conninfo parse_keywords(std::string_view text) {
  Conninfo conninfo;
  KeywordConninfoParser parser(text);
  while (auto parameter = parser.next()) {
    if (parameter->keyword != "password") {
      conninfo.without_password += conninfo.without_password.empty() ? "" : " ";
      conninfo.without_password += parameter->source;
    }
    conninfo.parameters.emplace_back(std::move(parameter->keyword), std::move(parameter->value));
  }
  if (!parser.problem().empty()) {
    return {{}, {}, parser.problem()};
  }
  // Alone in the rest it would be a URI after all, with a password that was not seen in it.
  if (uri_after_scheme(conninfo.without_password)) {
    return {{}, {}, "a postgresql:// URI has nothing before it, not even a blank"};
  }
  return conninfo;
}

}  // namespace

std::string Conninfo::value(std::string_view keyword) const {
  const auto last = std::find_if(parameters.rbegin(), parameters.rend(),
                                 [&](const auto& parameter) { return parameter.first == keyword; });
  return last == parameters.rend() ? std::string() : last->second;
}

Conninfo parse_conninfo(std::string_view text) {
  if (uri_after_scheme(text)) {
    return parse_uri_conninfo(text);
  }
  if (text.find('=') == text.npos) {
    return {{}, {}, "neither keyword=value words nor a postgresql:// URI"};
  }
  return parse_keywords(text);
}

std::string database_identity(const Conninfo& conninfo) {
  const auto or_else = [&](std::string_view keyword, std::string_view otherwise) {
    const std::string value = conninfo.value(keyword);
    return value.empty() ? std::string(otherwise) : value;
  };
  const std::string host = or_else("host", conninfo.value("hostaddr"));
  return fmt::format("{}\n{}\n{}\n{}", conninfo.value("service"), host, or_else("port", "5432"),
                     or_else("dbname", conninfo.value("user")));
}

}  // namespace headgate::config
