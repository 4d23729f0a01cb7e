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
#include "daemon_answer.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr const char* kPath = "/api/v1/status";

std::string state_line(const json::object& report) {
  const auto* ready = report.if_contains("ready");
  std::string line = text_of(report, "state");
  if (ready != nullptr && ready->is_bool()) {
    line += ready->get_bool() ? ", ready" : ", not ready: " + text_of(report, "reason");
  }
  for (const auto& [key, value] : section_of(report, "state_metadata")) {
    if (std::string_view(key).starts_with("table ")) {
      continue;  // `headgate snapshot status` has them
    }
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

std::string warning_lines(const json::object& source) {
  const auto* warnings = source.if_contains("warnings");
  std::string lines;
  if (warnings == nullptr || !warnings->is_array()) {
    return lines;
  }
  for (const auto& entry : warnings->get_array()) {
    if (entry.is_object()) {
      const auto& warning = entry.get_object();
      lines += fmt::format("  {}: {}\n", text_of(warning, "level"), text_of(warning, "what"));
      const auto remedy = text_of(warning, "remedy");
      lines += remedy == kNothing ? "" : "    " + remedy + "\n";
    }
  }
  return lines;
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

// Below the row of what it is about.
std::string pause_lines(const json::object& pause) {
  std::string lines = fmt::format("since {}: {}\n    {}\n", text_of(pause, "since"),
                                  text_of(pause, "reason"), text_of(pause, "remedy"));
  const auto refused = text_of(pause, "copy_refused");
  return refused == kNothing ? lines : lines + "    the last copy was refused: " + refused + "\n";
}

std::string paused_table_lines(const json::object& sink) {
  const auto* tables = sink.if_contains("paused_tables");
  std::string lines;
  for (const auto& entry :
       tables != nullptr && tables->is_array() ? tables->get_array() : json::array{}) {
    if (entry.is_object()) {
      const auto& table = entry.get_object();
      lines += fmt::format("  table {} paused {}", text_of(table, "table"), pause_lines(table));
    }
  }
  return lines;
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
    notes.push_back((error == kNothing ? "" : "  error: " + error + "\n") +
                    paused_table_lines(sink));
  }
  return aligned(rows, notes);
}

int print_tables(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  const HttpReply reply = http_get(client_options(http), "/api/v1/tables");
  const auto answer = parse_object(reply.body);
  if (reply.status != 200 || !answer) {
    return refused(http, reply, err);
  }
  if (json) {
    out << reply.body;
    return kExitOk;
  }
  std::vector<Row> rows{{"SINK", "TABLE", "STATE", "COPIED", "CONSISTENT FROM"}};
  std::vector<std::string> notes{""};
  const auto* sinks = answer->if_contains("sinks");
  for (const auto& sink :
       sinks != nullptr && sinks->is_array() ? sinks->get_array() : boost::json::array{}) {
    const auto* tables = sink.is_object() ? sink.get_object().if_contains("tables") : nullptr;
    for (const auto& entry :
         tables != nullptr && tables->is_array() ? tables->get_array() : boost::json::array{}) {
      if (entry.is_object()) {
        const auto& table = entry.get_object();
        rows.push_back({text_of(sink.get_object(), "name"), text_of(table, "table"),
                        text_of(table, "state"), text_of(table, "copied_rows"),
                        text_of(table, "consistent_from")});
        const auto& pause = section_of(table, "paused");
        notes.push_back(pause.empty() ? "" : "  paused " + pause_lines(pause));
      }
    }
  }
  out << aligned(rows, notes);
  return kExitOk;
}

int print_report(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  const HttpReply reply = http_get(client_options(http), kPath);
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
  out += warning_lines(section_of(report, "source"));
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

int tables_command(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  return with_daemon(http, err, [&] { return print_tables(http, json, out, err); });
}

int status_command(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  return with_daemon(http, err, [&] { return print_report(http, json, out, err); });
}

}  // namespace headgate
