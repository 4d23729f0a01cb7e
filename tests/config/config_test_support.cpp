#include "config_test_support.hpp"

#include <sys/stat.h>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "base/error.hpp"

namespace headgate::config {

const std::string kGoodYaml =
    "pipeline: shop\n"
    "source:\n"
    "  type: postgres\n"
    "  dsn: host=db1 dbname=shop user=headgate\n"
    "tables: [public.orders]\n"
    "sinks:\n"
    "  - name: business\n"
    "    type: sqlite\n"
    "    path: ./business.db\n";

std::string good_but(std::string_view from, std::string_view to) {
  const std::size_t at = kGoodYaml.find(from);
  if (at == std::string::npos || kGoodYaml.find(from, at + 1) != std::string::npos) {
    throw std::logic_error("good_but: not exactly once: " + std::string(from));
  }
  return std::string(kGoodYaml).replace(at, from.size(), to);
}

std::string message_of(const std::string& yaml) {
  try {
    parse_config("c.yml", yaml);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    return error.what();
  }
  return {};
}

std::vector<std::string> findings_of(const std::string& yaml) {
  std::vector<std::string> lines;
  const std::string message = message_of(yaml);
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t end = std::min(message.find('\n', at), message.size());
    lines.push_back(message.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

void check_mistakes(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) {
    INFO(mistake.yaml);
    const std::vector<std::string> lines = findings_of(mistake.yaml);
    std::string text;
    for (const std::string& line : lines) {
      text += line + "\n";
    }
    INFO(text);
    REQUIRE(!lines.empty());
    CHECK(lines[0] == mistake.finding);
    if (!mistake.remedy.empty()) {
      REQUIRE(lines.size() > 1);
      CHECK(lines[1] == "  " + mistake.remedy);
    }
    CHECK((lines.size() == 1 || (lines.size() == 2 && lines[1].starts_with("  "))));
  }
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "headgate-config-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("mkdtemp failed");
  }
  folder_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string TemporaryFolder::path(std::string_view name) const {
  return (folder_ / name).string();
}

std::string TemporaryFolder::write(std::string_view name, std::string_view content,
                                   unsigned mode) const {
  const std::string file = path(name);
  std::ofstream(file, std::ios::binary) << content;
  REQUIRE(::chmod(file.c_str(), mode) == 0);
  return file;
}

EnvironmentVariable::EnvironmentVariable(const std::string& name, const std::string& value)
    : name_(name) {
  ::setenv(name.c_str(), value.c_str(), 1);
}

EnvironmentVariable::~EnvironmentVariable() {
  ::unsetenv(name_.c_str());
}

}  // namespace headgate::config
