// What commands that ask the running daemon share: its answers as text, and what to say when there
// is none.

#pragma once

#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "admin/http_client.hpp"
#include "config/config.hpp"

namespace headgate {

// Stands for what an older or newer daemon does not report.
inline constexpr const char* kNothing = "-";

// Text of others, such as an error of a server, on one line of a terminal: no control characters.
// JSON needs it too: only those below the blank are escaped there.
std::string one_line(std::string_view text);

// Of a daemon's answer; kNothing, nothing or an empty object where it has no such thing.
std::string text_of(const boost::json::object& object, std::string_view key);
std::optional<double> number_of(const boost::json::object& object, std::string_view key);
const boost::json::object& section_of(const boost::json::object& object, std::string_view key);

// "1.5 MiB", "3 min 7 s".
std::string bytes_text(std::optional<double> bytes);
std::string seconds_text(std::optional<double> seconds);

std::optional<boost::json::object> parse_object(const std::string& text);

void complain(std::ostream& err, std::string_view message, std::string_view hint);

HttpClientOptions client_options(const HttpConfig& http);

// Runs `ask` and returns its exit code; trouble with reaching the daemon goes to `err`.
int with_daemon(const HttpConfig& http, std::ostream& err, const std::function<int()>& ask);

// The daemon answered, but not with what was asked for: says so, and returns the exit code.
int refused(const HttpConfig& http, const HttpReply& reply, std::ostream& err);

}  // namespace headgate
