#include "db/pq/connect_parameters.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::pq {
namespace {

struct ConninfoDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

}  // namespace

ConnectParameters::ConnectParameters(const std::string& conninfo, const std::string& role) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, ConninfoDeleter> parsed(
      PQconninfoParse(conninfo.c_str(), &message));
  if (!parsed) {
    // libpq's message can repeat part of the string, and with it a password: not shown.
    PQfreemem(message);
    throw Error{
        ErrorKind::kOperator, fmt::format("{}: the dsn is not a libpq connection string", role),
        "write \"host=… dbname=… user=…\" or postgresql://user@host/dbname; quote values that "
        "hold spaces with single quotes"};
  }
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) {
      pairs_.emplace_back(option->keyword, option->val);
    }
  }
}

void ConnectParameters::set(const std::string& key, const std::string& value) {
  if (std::string* present = find(key)) {
    *present = value;
  } else {
    pairs_.emplace_back(key, value);
  }
}

void ConnectParameters::set_default(const std::string& key, const std::string& value) {
  if (find(key) == nullptr) {
    pairs_.emplace_back(key, value);
  }
}

void ConnectParameters::append_option(const std::string& name, const std::string& value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ' ' || c == '\\') {
      escaped.push_back('\\');
    }
    escaped.push_back(c);
  }
  std::string* options = find("options");
  if (options == nullptr) {
    options = &pairs_.emplace_back("options", "").second;
  }
  *options += fmt::format(" -c {}={}", name, escaped);
}

PGconn* ConnectParameters::start() const {
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : pairs_) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  return PQconnectStartParams(keys.data(), values.data(), 0);
}

std::string* ConnectParameters::find(const std::string& key) {
  const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                  [&](const auto& pair) { return pair.first == key; });
  return found == pairs_.end() ? nullptr : &found->second;
}

const std::string* ConnectParameters::find(const std::string& key) const {
  return const_cast<ConnectParameters*>(this)->find(key);  // changes nothing
}

std::optional<Duration> ConnectParameters::connect_timeout() const {
  const std::string* text = find("connect_timeout");
  int seconds = 0;
  if (text != nullptr) {
    std::from_chars(text->data(), text->data() + text->size(), seconds);
  }
  return seconds > 0 ? std::optional<Duration>(std::chrono::seconds(seconds)) : std::nullopt;
}

}  // namespace headgate::pq
