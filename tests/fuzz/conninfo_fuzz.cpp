// Connection strings in both notations, judged by libpq itself.
//
// Seeds have "hunter2" where a password belongs, or a piece of one that lacks its quotes.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include <libpq-fe.h>

#include "base/error.hpp"
#include "config/conninfo.hpp"
#include "config/conninfo_keywords.hpp"
#include "config/redact_conninfo.hpp"
#include "db/pq/connect_parameters.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

using Parameters = std::map<std::string, std::string>;

struct ConninfoDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// Nothing for what libpq does not take.
std::optional<Parameters> read_by_libpq(const std::string& text) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, ConninfoDeleter> options(
      PQconninfoParse(text.c_str(), &message));
  PQfreemem(message);
  if (!options) {
    return std::nullopt;
  }
  Parameters parameters;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && *option->val != '\0') {
      parameters[option->keyword] = option->val;
    }
  }
  return parameters;
}

bool holds_secret(std::string_view text) {
  return text.find(kSecret) != text.npos;
}

// Whether the secret stands in the string once, and libpq takes it for (part of) a secret.
bool is_secret(std::string_view text, const Parameters& theirs) {
  const std::size_t at = text.find(kSecret);
  if (at == text.npos || holds_secret(text.substr(at + 1))) {
    return false;
  }
  for (const auto& [keyword, value] : theirs) {
    if (holds_secret(value)) {
      return config::is_secret_conninfo_keyword(keyword);
    }
  }
  return false;
}

// REQUIRES: we and libpq take `text`.
void check_parts(std::string_view text, const config::Conninfo& ours, const Parameters& theirs) {
  // libpq turns these two into an sslmode.
  const bool translated =
      std::any_of(ours.parameters.begin(), ours.parameters.end(), [](const auto& parameter) {
        return parameter.first == "ssl" || parameter.first == "requiressl";
      });
  for (const auto& [keyword, value] : theirs) {
    require(ours.value(keyword) == value || (keyword == "sslmode" && translated),
            "we read a parameter as libpq does");
  }
  Parameters rest = theirs;
  rest.erase("password");
  require(read_by_libpq(ours.without_password) == rest,
          "without its password, the string means the same");
  require(config::parse_conninfo(ours.without_password).without_password == ours.without_password,
          "there is nothing more to take out");
  const auto password = theirs.find("password");
  if (password != theirs.end() && holds_secret(password->second) && is_secret(text, theirs)) {
    require(!holds_secret(ours.without_password), "the password is gone");
  }
  pq::ConnectParameters(ours.without_password, "source");
}

// As a server would be told it, with a password in either notation.
void check_planted(const std::string& text) {
  for (const std::string& whole :
       {"password=hunter2 " + text, "password='hunter2' " + text, text + " password=hunter2"}) {
    const auto theirs = read_by_libpq(whole);
    require(!theirs || !is_secret(whole, *theirs) || !holds_secret(config::redact_conninfo(whole)),
            "a password before or after anything is not shown");
  }
}

}  // namespace

HEADGATE_FUZZ_TARGET(conninfo) {
  if (input.find('\0') != input.npos) {
    return;  // a configuration's values hold none
  }
  const std::string text(input);
  const ExactCopy exact(input);
  const std::optional<Parameters> theirs = read_by_libpq(text);
  // A string that libpq refuses may hold anything; what looks open in it is shown.
  require(!theirs || !is_secret(text, *theirs) || !holds_secret(config::redact_conninfo(text)),
          "a secret is not shown");
  check_planted(text);

  const config::Conninfo ours = config::parse_conninfo(exact.view());
  if (!ours.problem.empty()) {
    require(!holds_secret(ours.problem), "a problem never quotes the string");
    require(ours.parameters.empty() && ours.without_password.empty(), "a problem is all there is");
    return;
  }
  require(config::database_identity(ours) ==
              config::database_identity(config::parse_conninfo(ours.without_password)),
          "the password does not decide which database it is");
  if (theirs) {
    check_parts(text, ours, *theirs);
    return;
  }
  // Such as an unknown keyword, which only libpq can judge.
  try {
    pq::ConnectParameters(text, "source");
    require(false, "libpq refuses it once and for all");
  } catch (const Error& error) {
    require(!holds_secret(error.describe()), "an error never quotes the string");
  }
}

}  // namespace headgate::fuzz
