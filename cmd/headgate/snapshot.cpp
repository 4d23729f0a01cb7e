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

// "[######......]  51 %  510 of about 1000 rows, 2 of 3 tables, public.orders, 1.2 MiB/s"
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
  if (const std::string waiting = text_of(told, "waiting"); waiting != kNothing) {
    line += ", not shown by any copy point yet: " + waiting;
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
