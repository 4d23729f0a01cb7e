#include "base/log.hpp"

#include <mutex>
#include <string_view>
#include <utility>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "base/error.hpp"

namespace headgate {
namespace {

// One JSON object a line. Written here because spdlog's patterns cannot escape the message.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    spdlog::memory_buf_t time;
    time_.format(message, time);
    append(out, R"({"time":")");
    append(out, {time.data(), time.size()});
    append(out, R"(","level":")");
    const auto level = spdlog::level::to_string_view(message.level);
    append(out, {level.data(), level.size()});
    append(out, R"(","logger":")");
    append_escaped(out, {message.logger_name.data(), message.logger_name.size()});
    append(out, R"(","message":")");
    append_escaped(out, {message.payload.data(), message.payload.size()});
    append(out, "\"}\n");
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }

 private:
  static void append(spdlog::memory_buf_t& out, std::string_view text) {
    out.append(text.data(), text.data() + text.size());
  }

  static void append_escaped(spdlog::memory_buf_t& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out.push_back('\\');
        out.push_back(c);
      } else if (byte < 0x20) {
        append(out, "\\u00");
        out.push_back(kHex[byte >> 4]);
        out.push_back(kHex[byte & 15]);
      } else {
        out.push_back(c);
      }
    }
  }

  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%eZ", spdlog::pattern_time_type::utc, ""};
};

struct Shared {
  std::mutex mutex;
  // Guarded by mutex.
  spdlog::sink_ptr sink;
  spdlog::level::level_enum level = spdlog::level::info;
};

Shared& shared() {
  static Shared instance;
  return instance;
}

std::unique_ptr<spdlog::formatter> text_formatter() {
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %-5l [%n] %v",
                                                     spdlog::pattern_time_type::utc);
}

spdlog::level::level_enum parse_level(const std::string& level) {
  if (level == "trace") return spdlog::level::trace;
  if (level == "debug") return spdlog::level::debug;
  if (level == "info") return spdlog::level::info;
  if (level == "warn") return spdlog::level::warn;
  if (level == "error") return spdlog::level::err;
  throw Error{ErrorKind::kConfig, "logging.level: \"" + level + "\" is not a level",
              "one of trace, debug, info, warn, error"};
}

}  // namespace

void configure_logging(const LogOptions& options) {
  const auto level = parse_level(options.level);
  if (options.format != "text" && options.format != "json") {
    throw Error{ErrorKind::kConfig, "logging.format: \"" + options.format + "\" is not a format",
                "text or json"};
  }

  spdlog::sink_ptr sink;
  if (options.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    } catch (const spdlog::spdlog_ex& error) {
      throw Error{ErrorKind::kSystemic,
                  "logging.file: cannot write " + options.file + ": " + error.what(),
                  "make the folder writable for this user, or remove logging.file"};
    }
  }
  sink->set_formatter(options.format == "json" ? std::make_unique<JsonFormatter>()
                                               : text_formatter());

  auto& state = shared();
  const std::lock_guard lock(state.mutex);
  state.sink = std::move(sink);
  state.level = level;
}

Logger make_logger(const std::string& name) {
  auto& state = shared();
  const std::lock_guard lock(state.mutex);
  if (!state.sink) {
    state.sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    state.sink->set_formatter(text_formatter());
  }
  auto logger = std::make_shared<spdlog::logger>(name, state.sink);
  logger->set_level(state.level);
  // A line that matters must be on disk when the process dies a moment later.
  logger->flush_on(spdlog::level::info);
  return logger;
}

}  // namespace headgate
