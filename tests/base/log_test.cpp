#include "base/log.hpp"

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "base/error.hpp"

namespace {

using headgate::configure_logging;
using headgate::Error;
using headgate::ErrorKind;
using headgate::LogOptions;
using headgate::make_logger;

// A log file of this test's own; afterwards logging goes to stderr again.
class LogFile {
 public:
  LogFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "headgate_log.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~LogFile() {
    configure_logging({});
    std::filesystem::remove_all(folder_);
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  std::string path() const { return (folder_ / "headgate.log").string(); }

  std::vector<std::string> lines() const {
    std::ifstream in(path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) {
      lines.push_back(line);
    }
    return lines;
  }

 private:
  std::filesystem::path folder_;
};

ErrorKind kind_thrown_by(const LogOptions& options) {
  try {
    configure_logging(options);
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::kTransient;
}

TEST_CASE("a JSON log line is one object, whatever stands in the message") {
  const LogFile file;
  configure_logging({.level = "info", .format = "json", .file = file.path()});
  const std::string message = "odd \"quotes\" \\ back\nnew\tline \x01\x1f\x7f und Umläute";
  make_logger("orders \"x\"")->info("{}", message);

  REQUIRE(file.lines().size() == 1);
  const auto line = boost::json::parse(file.lines()[0]).as_object();
  CHECK(line.at("message").as_string() == message);
  CHECK(line.at("logger").as_string() == "orders \"x\"");
  CHECK(line.at("level").as_string() == "info");
  const std::string time(line.at("time").as_string());
  CHECK_THAT(time, Catch::Matches(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"));
}

TEST_CASE("a text log line carries time, level, name and message") {
  const LogFile file;
  configure_logging({.level = "info", .format = "text", .file = file.path()});
  make_logger("orders")->warn("sink unavailable attempt={}", 3);

  REQUIRE(file.lines().size() == 1);
  CHECK_THAT(
      file.lines()[0],
      Catch::Matches(
          R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning +\[orders\] sink unavailable attempt=3)"));
}

TEST_CASE("a logger writes what its level asks for, and at once") {
  const LogFile file;
  configure_logging({.level = "warn", .format = "text", .file = file.path()});
  const auto logger = make_logger("orders");
  logger->debug("debug");
  logger->info("info");
  CHECK(file.lines().empty());
  logger->warn("warn");
  logger->error("error");
  CHECK(file.lines().size() == 2);
}

TEST_CASE("logging options that make no sense are configuration errors") {
  CHECK(kind_thrown_by({.level = "loud", .format = "text", .file = ""}) == ErrorKind::kConfig);
  CHECK(kind_thrown_by({.level = "INFO", .format = "text", .file = ""}) == ErrorKind::kConfig);
  CHECK(kind_thrown_by({.level = "info", .format = "xml", .file = ""}) == ErrorKind::kConfig);
}

TEST_CASE("a log file that cannot be written is named in the error") {
  const LogFile file;
  std::ofstream(file.path()) << "a file, not a folder";
  const std::string below = file.path() + "/headgate.log";
  CHECK(kind_thrown_by({.level = "info", .format = "text", .file = below}) == ErrorKind::kSystemic);
  CHECK_THROWS_WITH(configure_logging({.level = "info", .format = "text", .file = below}),
                    Catch::Contains(below));
}

}  // namespace
