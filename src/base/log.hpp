// Loggers by name, over spdlog. A message is a fixed lower-case phrase, then key=value pairs.
//
// Column values, passwords and connection strings never appear; names, types, counts, sizes and
// LSNs do. An error says what a person must do; a quiet day is a handful of info lines.

#pragma once

#include <memory>
#include <string>

#include <spdlog/spdlog.h>

namespace headgate {

using Logger = std::shared_ptr<spdlog::logger>;

struct LogOptions {
  std::string level = "info";   // trace, debug, info, warn, error
  std::string format = "text";  // text, json (one object a line)
  std::string file;             // empty: stderr
};

// Sets up the sink that all loggers share. Call once, before make_logger, from the main thread.
//
// Throws Error{kConfig} for an unknown level or format, Error{kSystemic} when the file cannot be
// opened.
void configure_logging(const LogOptions& options);

// A logger that carries `name` in each line. Before configure_logging it writes text to stderr.
Logger make_logger(const std::string& name);

}  // namespace headgate
