// What the tests of the configuration share: a good file to spoil, and what is said about it.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace headgate::config {

// A good file of nine lines; more keys can be added at its end, from line 10 on:
//
//   1 pipeline   2-4 source (type, dsn)   5 tables   6-9 sinks (name, type, path)
extern const std::string kGoodYaml;

// kGoodYaml with the one occurrence of `from` replaced.
std::string good_but(std::string_view from, std::string_view to);

// What parse_config("c.yml", yaml) says is wrong, line by line; empty for a good file.
std::vector<std::string> findings_of(const std::string& yaml);

// The same as one text.
std::string message_of(const std::string& yaml);

// One mistake and the only finding it must lead to: its first line, and its remedy if that is not
// empty.
struct Mistake {
  std::string yaml;
  std::string finding;
  std::string remedy = {};
};
void check_mistakes(const std::vector<Mistake>& mistakes);

// A folder that goes when the test does.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(std::string_view name = "") const;
  // Returns its path.
  std::string write(std::string_view name, std::string_view content, unsigned mode = 0600) const;

 private:
  std::filesystem::path folder_;
};

// A variable of the environment that goes when the test does.
class EnvironmentVariable {
 public:
  EnvironmentVariable(const std::string& name, const std::string& value);
  ~EnvironmentVariable();
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

 private:
  std::string name_;
};

}  // namespace headgate::config
