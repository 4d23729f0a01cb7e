#include "config/env_expansion.hpp"

#include <cstddef>
#include <cstdlib>

#include <fmt/format.h>

#include "config/text.hpp"

namespace headgate::config {
namespace {

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) {
    return false;
  }
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && !(c >= '0' && c <= '9')) {
      return false;
    }
  }
  return true;
}

void append_variable(const std::string& name, Expansion& expansion) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) {
    expansion.problems.push_back(fmt::format("environment variable {} is not set", name));
  } else if (find_invalid_utf8(value)) {
    expansion.problems.push_back(fmt::format("environment variable {} is not UTF-8 text", name));
  } else {
    expansion.text += value;
  }
}

}  // namespace

Expansion expand_environment(std::string_view text) {
  Expansion expansion;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at, 3) == "$${") {
      expansion.text += "${";
      at += 3;
      continue;
    }
    if (text.substr(at, 2) != "${") {
      expansion.text += text[at++];
      continue;
    }
    const std::size_t end = text.find('}', at);
    const std::string_view name = text.substr(at + 2, end == text.npos ? end : end - at - 2);
    if (end == text.npos || !is_variable_name(name)) {
      expansion.problems.emplace_back("\"${\" is not followed by the name of a variable and \"}\"");
      return expansion;
    }
    append_variable(std::string(name), expansion);
    at = end + 1;
  }
  return expansion;
}

}  // namespace headgate::config
