#include "admin/json_text.hpp"

#include <cmath>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace headgate {
namespace {

namespace json = boost::json;

// 1 stays 1.0, so that who reads it back gets a number of the same kind.
std::string number_text(double number) {
  if (!std::isfinite(number)) {
    return "null";  // JSON knows no infinity and no NaN
  }
  auto text = fmt::format("{}", number);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

void append(std::string& out, const json::value& value);

void append(std::string& out, const json::object& object) {
  char separator = '{';
  for (const auto& [key, member] : object) {
    out += separator;
    out += json::serialize(key);
    out += ':';
    append(out, member);
    separator = ',';
  }
  out += object.empty() ? "{}" : "}";
}

void append(std::string& out, const json::array& array) {
  char separator = '[';
  for (const auto& element : array) {
    out += separator;
    append(out, element);
    separator = ',';
  }
  out += array.empty() ? "[]" : "]";
}

void append(std::string& out, const json::value& value) {
  if (const auto* object = value.if_object()) {
    append(out, *object);
  } else if (const auto* array = value.if_array()) {
    append(out, *array);
  } else if (const auto* number = value.if_double()) {
    out += number_text(*number);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string json_text(const json::value& value) {
  std::string out;
  append(out, value);
  out += '\n';
  return out;
}

}  // namespace headgate
