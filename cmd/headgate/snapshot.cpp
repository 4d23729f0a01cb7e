#include "snapshot.hpp"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/error.hpp"
#include "daemon_answer.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr Duration kLook = std::chrono::milliseconds(500);

double number(const json::object& told, std::string_view key) {
  const std::string text = text_of(told, key);
  return text == kNothing ? 0 : std::strtod(text.c_str(), nullptr);
}

// "12 s", "3 min", "2.5 h"
std::string time_left(double seconds) {
  if (seconds < 100) {
    return fmt::format("{:.0f} s left", seconds);
  }
  constexpr double kMinute = 60;
  constexpr double kHour = 3600;
  return seconds < 100 * kMinute ? fmt::format("{:.0f} min left", seconds / kMinute)
                                 : fmt::format("{:.1f} h left", seconds / kHour);
}

// The values of "rows=510 rows_estimate=1000 state=reads".
json::object parse_pairs(std::string_view text) {
  json::object pairs;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find(' '));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    pairs.emplace(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
  }
  return pairs;
}

// "public.orders: 510 of about 1000 rows (51 %), 1.2 MiB, 0.4 MiB/s, 12 s left"
std::string table_line(std::string_view table, const json::object& told) {
  std::string line = fmt::format("{}: {} of about {} rows", table, text_of(told, "rows"),
                                 text_of(told, "rows_estimate"));
  if (const std::string percent = text_of(told, "percent"); percent != kNothing) {
    line += fmt::format(" ({} %)", percent);
  }
  line += ", " + bytes_text(number(told, "bytes"));
  if (text_of(told, "bytes_per_second") != kNothing) {
    line += fmt::format(", {}/s, {}", bytes_text(number(told, "bytes_per_second")),
                        time_left(number(told, "seconds_left")));
  }
  const std::string state = text_of(told, "state");
  return state == "reads" ? line : line + ", " + (state == "read" ? "all read" : "waits its turn");
}

void show_tables(const json::object& told, std::ostream& out) {
  constexpr std::string_view kTable = "table ";
  for (const auto& [key, value] : told) {
    const std::string_view name = key;
    if (name.starts_with(kTable) && value.is_string()) {
      out << "  " << table_line(name.substr(kTable.size()), parse_pairs(value.get_string()))
          << "\n";
    }
  }
}

// "[######......]  51 %  510 of about 1000 rows, 2 of 3 tables, public.orders, 1.2 MiB/s, 9 s left"
std::string progress_line(const json::object& told) {
  const double rows = number(told, "rows");
  const double estimate = std::max(rows, number(told, "rows_estimate"));
  const double part = estimate > 0 ? rows / estimate : 0;
  constexpr std::size_t kWidth = 30;
  const auto filled = static_cast<std::size_t>(part * kWidth);
  std::string line = fmt::format("[{}{}] {:3.0f} %  {:.0f} of about {:.0f} rows, {} tables",
                                 std::string(filled, '#'), std::string(kWidth - filled, '.'),
                                 part * 100, rows, estimate, text_of(told, "tables"));
  if (const std::string table = text_of(told, "table"); table != kNothing) {
    line += ", " + table;
  }
  line += fmt::format(", {}/s", bytes_text(number(told, "bytes_per_second")));
  if (text_of(told, "seconds_left") != kNothing) {
    line += ", " + time_left(number(told, "seconds_left"));
  }
  if (const std::string waiting = text_of(told, "waiting"); waiting != kNothing) {
    line += ", not shown by any copy point yet: " + waiting;
  }
  if (text_of(told, "catching_up") == "yes") {
    line += ", changes that wait come first";
  }
  return text_of(told, "paused") == kNothing ? line : line + ", paused";
}

// Follows a copy to its end where somebody looks on, and says how far it is once where not.
int show(const HttpConfig& http, bool json, std::ostream& out, std::ostream& err) {
  const bool follows = !json && &out == &std::cout && ::isatty(STDOUT_FILENO) == 1;
  while (true) {
    const HttpReply reply = http_get(client_options(http), "/api/v1/status");
    const auto report = parse_object(reply.body);
    if (reply.status != 200 || !report) {
      return refused(http, reply, err);
    }
    const json::object& told = section_of(*report, "state_metadata");
    if (json) {
      out << json::serialize(told) << "\n";
      return kExitOk;
    }
    if (text_of(*report, "state") != "snapshot") {
      out << (follows ? "\n" : "") << "no copy is running\n";
      return kExitOk;
    }
    out << (follows ? "\r\033[K" : "") << progress_line(told) << (follows ? "" : "\n")
        << std::flush;
    if (!follows) {
      show_tables(told, out);
      return kExitOk;
    }
    std::this_thread::sleep_for(kLook);
  }
}

int ask(const HttpConfig& http, const SnapshotArguments& arguments, bool json, std::ostream& out,
        std::ostream& err) {
  json::object body;
  if (!arguments.tables.empty()) {
    body.emplace("tables", json::array(arguments.tables.begin(), arguments.tables.end()));
  }
  const HttpReply reply = http_post(client_options(http), "/api/v1/snapshot/" + arguments.action,
                                    json::serialize(body));
  if (reply.status == 409) {
    const auto answer = parse_object(reply.body).value_or(json::object{});
    complain(err, text_of(answer, "error"), text_of(answer, "hint"));
    return kExitDiffers;
  }
  if (reply.status != 202) {
    return refused(http, reply, err);
  }
  if (json) {
    out << reply.body;
  } else {
    out << "snapshot " << arguments.action
        << ": the daemon does so; headgate snapshot status shows how far it is\n";
  }
  return kExitOk;
}

}  // namespace

int snapshot_command(const HttpConfig& http, const SnapshotArguments& arguments, bool json,
                     std::ostream& out, std::ostream& err) {
  if (arguments.action != "start" && !arguments.tables.empty()) {
    complain(err, "snapshot " + arguments.action + " takes no tables: it is about the whole copy",
             "headgate snapshot start TABLE… copies some tables only");
    return kExitUsage;
  }
  return with_daemon(http, err, [&] {
    return arguments.action == "status" ? show(http, json, out, err)
                                        : ask(http, arguments, json, out, err);
  });
}

}  // namespace headgate
