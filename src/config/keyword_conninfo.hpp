// Connection strings of `keyword=value` words, by the rules of libpq's conninfo_parse.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace headgate::config {

// Reads one `keyword = value` after another. The text must outlive it.
class KeywordConninfoParser {
 public:
  explicit KeywordConninfoParser(std::string_view text) : text_(text) {}

  struct Parameter {
    std::string keyword;
    std::string value;
    std::string_view source;  // the whole of it, as written
  };

  // Nothing at the end, and when the string is malformed: then problem() says how.
  std::optional<Parameter> next();

  // Never quotes the string.
  const std::string& problem() const { return problem_; }

 private:
  void skip_space();
  void append_character(Parameter& parameter);
  void read_plain_value(Parameter& parameter);
  bool read_quoted_value(Parameter& parameter);

  std::string_view text_;
  std::size_t at_ = 0;
  std::string problem_;
};

}  // namespace headgate::config
