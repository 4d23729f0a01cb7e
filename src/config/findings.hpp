// What is wrong with a configuration file: all of it, so that it can be mended in one go.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::config {

// Where something stands in the file.
struct Place {
  std::string key;  // dotted, such as `sinks[0].path`; empty: the file as a whole
  int line = 0;     // from 1; 0: the file as a whole
  int column = 0;   // from 1; 0: the line says enough
};

// `path.key`, or `key` at the top.
std::string joined_key(const std::string& path, std::string_view key);

// Not thread-safe.
class Findings {
 public:
  // `message` and `remedy` are one line each and hold no secret; `remedy` may be empty.
  void add(Place place, std::string message, std::string remedy = {});

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  // By line, each as `file:line: key: what is wrong` and its remedy on an indented line of its own.
  // After a hundred of them only their number is told: the file is then not a configuration at all.
  std::string describe(const std::string& file) const;

 private:
  struct Finding {
    Place place;
    std::string message;
    std::string remedy;
  };

  // The first thousand; what comes after them is only counted, so that memory stays bounded.
  std::vector<Finding> findings_;
  std::size_t count_ = 0;
};

// One line of `describe`, without its remedy.
std::string describe(const std::string& file, const Place& place, const std::string& message);

}  // namespace headgate::config
