#include "status.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "admin/http_client.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr const char* kPath = "/api/v1/status";
constexpr const char* kNothing = "-";

// Text of others, such as an error of a server, on one line of a terminal: no control characters.
// JSON needs it too: only those below the blank are escaped there.
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

// An empty one when it is missing.
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

std::string state_line(const json::object& report) {
  const auto* ready = report.if_contains("ready");
  std::string line = text_of(report, "state");
  if (ready != nullptr && ready->is_bool()) {
    line += ready->get_bool() ? ", ready" : ", not ready: " + text_of(report, "reason");
  }
  for (const auto& [key, value] : section_of(report, "state_metadata")) {
    line += fmt::format(
        " {}={}", one_line(key),
        one_line(value.is_string() ? std::string(value.get_string()) : json::serialize(value)));
  }
  return line;
}

std::string source_line(const json::object& source) {
  return fmt::format("server {}, slot {}, WAL {}, {} retained, {} until it may be discarded",
                     text_of(source, "server_version"), text_of(source, "slot"),
                     text_of(source, "wal_status"), bytes_text(number_of(source, "retained_bytes")),
                     bytes_text(number_of(source, "safe_wal_bytes")));
}

std::string capture_line(const json::object& capture) {
  return fmt::format("{}, received {}, acknowledged {}, {} transactions, {} changes",
                     text_of(capture, "state"), text_of(capture, "received"),
                     text_of(capture, "acknowledged"), text_of(capture, "transactions"),
                     text_of(capture, "changes"));
}

using Row = std::vector<std::string>;

std::string aligned(const std::vector<Row>& rows, const std::vector<std::string>& notes) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (std::size_t number = 0; number < rows.size(); ++number) {
    std::string line;
    for (std::size_t i = 0; i < rows[number].size(); ++i) {
      line += fmt::format("{:<{}}  ", rows[number][i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n" + notes[number];
  }
  return out;
}

std::string sinks_table(const json::array& sinks) {
  std::vector<Row> rows{
      {"SINK", "TYPE", "STATE", "APPLIED", "LAG", "BEHIND", "TRANSACTIONS", "CHANGES"}};
  std::vector<std::string> notes{""};  // what stands below each row
  for (const auto& entry : sinks) {
    if (!entry.is_object()) {
      continue;
    }
    const auto& sink = entry.get_object();
    rows.push_back({text_of(sink, "name"), text_of(sink, "type"), text_of(sink, "state"),
                    text_of(sink, "applied"), seconds_text(number_of(sink, "lag_seconds")),
                    bytes_text(number_of(sink, "lag_bytes")), text_of(sink, "transactions"),
                    text_of(sink, "changes")});
    const auto error = text_of(sink, "error");
    notes.push_back(error == kNothing ? "" : "  error: " + error + "\n");
  }
  return aligned(rows, notes);
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

// The daemon answered, but not with its report.
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

int print_report(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  HttpClientOptions options;
  options.listen = http.listen;
  options.token = http.token;
  const HttpReply reply = http_get(options, kPath);
  if (reply.status != 200) {
    return refused(http, reply, err);
  }
  const auto report = parse_object(reply.body);
  if (!report) {
    complain(err, fmt::format("what answers on {} is no headgate daemon", http.listen),
             "correct http.listen in this file");
    return kExitOperator;
  }
  out << (json ? reply.body : status_table(*report));
  return kExitOk;
}

}  // namespace

std::string status_table(const json::object& report) {
  const auto& capture = section_of(report, "capture");
  std::string out =
      fmt::format("pipeline  {}, headgate {}, up {}\n", text_of(report, "pipeline"),
                  text_of(report, "version"), seconds_text(number_of(report, "uptime_seconds")));
  out += fmt::format("state     {}\n", state_line(report));
  out += fmt::format("source    {}\n", source_line(section_of(report, "source")));
  out += fmt::format("capture   {}\n", capture_line(capture));
  const auto error = text_of(capture, "error");
  if (error != kNothing) {
    out += "  error: " + error + "\n";
  }
  const auto* sinks = report.if_contains("sinks");
  if (sinks != nullptr && sinks->is_array()) {
    out += "\n" + sinks_table(sinks->get_array());
  }
  return out;
}

int status_command(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  if (http.listen.empty()) {
    complain(err, "http.listen is empty, so the daemon has no control channel",
             "set http.listen and restart the daemon");
    return kExitUnavailable;
  }
  try {
    return print_report(http, json, out, err);
  } catch (const Error& error) {
    complain(err, error.what(), error.hint());
    return exit_code_for(error.kind());
  }
}

}  // namespace headgate
