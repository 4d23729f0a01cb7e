#include "daemon_answer.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <utility>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {

namespace json = boost::json;

std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return std::iscntrl(c) != 0; }, ' ');
  return line;
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) {
    return kNothing;
  }
  if (const auto* text = value->if_string()) {
    return text->empty() ? kNothing : one_line(*text);
  }
  return one_line(json::serialize(*value));
}

std::optional<double> number_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) {
    return std::nullopt;
  }
  return value->to_number<double>();
}

const json::object& section_of(const json::object& object, std::string_view key) {
  static const json::object kEmpty;
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
}

std::string bytes_text(std::optional<double> bytes) {
  if (!bytes) {
    return kNothing;
  }
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  double amount = *bytes;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", amount)
                   : fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string seconds_text(std::optional<double> seconds) {
  constexpr double kSecondsMax = 1e12;  // no daemon has seen more, whatever answers there says
  if (!seconds || !(std::abs(*seconds) < kSecondsMax)) {  // nor NaN
    return kNothing;
  }
  if (*seconds < 60) {
    return fmt::format("{:.1f} s", *seconds);
  }
  const auto whole = static_cast<std::int64_t>(*seconds);
  if (whole < 3600) {
    return fmt::format("{} min {} s", whole / 60, whole % 60);
  }
  if (whole < 86400) {
    return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  }
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

void complain(std::ostream& err, std::string_view message, std::string_view hint) {
  err << "headgate: " << message << "\n";
  if (!hint.empty()) {
    err << "  " << hint << "\n";
  }
}

std::optional<json::object> parse_object(const std::string& text) {
  json::error_code failure;
  auto value = json::parse(text, failure);
  if (failure || !value.is_object()) {
    return std::nullopt;
  }
  return std::move(value.get_object());
}

HttpClientOptions client_options(const HttpConfig& http) {
  HttpClientOptions options;
  options.listen = http.listen;
  options.token = http.token;
  return options;
}

int with_daemon(const HttpConfig& http, std::ostream& err, const std::function<int()>& ask) {
  if (http.listen.empty()) {
    complain(err, "http.listen is empty, so the daemon has no control channel",
             "set http.listen and restart the daemon");
    return kExitUnavailable;
  }
  try {
    return ask();
  } catch (const Error& error) {
    complain(err, error.what(), error.hint());
    return exit_code_for(error.kind());
  }
}

int refused(const HttpConfig& http, const HttpReply& reply, std::ostream& err) {
  const auto answer = parse_object(reply.body).value_or(json::object{});
  const auto said = text_of(answer, "error");
  if (reply.status == 401) {
    complain(err, fmt::format("the daemon on {} refuses this: {}", http.listen, said),
             http.token.empty()
                 ? "set http.token_file to the file that the daemon reads its token from"
                 : "the token in http.token_file is not the daemon's: after a change of the file, "
                   "restart the daemon");
    return kExitOperator;
  }
  const auto hint = text_of(answer, "hint");
  complain(
      err,
      fmt::format("the daemon on {} answers with status {}: {}", http.listen, reply.status, said),
      hint == kNothing ? "" : hint);
  return reply.status == 503 ? kExitUnavailable : kExitOperator;
}

}  // namespace headgate
