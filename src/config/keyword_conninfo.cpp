#include "config/keyword_conninfo.hpp"

namespace headgate::config {
namespace {

// White space as the C locale has it, which is how libpq sees it.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

std::optional<KeywordConninfoParser::Parameter> KeywordConninfoParser::next() {
  skip_space();
  if (at_ == text_.size()) {
    return std::nullopt;
  }
  const std::size_t begin = at_;
  Parameter parameter;
  while (at_ < text_.size() && text_[at_] != '=' && !is_space(text_[at_])) {
    parameter.keyword += text_[at_++];
  }
  skip_space();
  if (at_ == text_.size() || text_[at_] != '=' || parameter.keyword.empty()) {
    problem_ = "a word of the connection string is not keyword=value";
    return std::nullopt;
  }
  ++at_;
  skip_space();
  if (at_ == text_.size() || text_[at_] != '\'') {
    read_plain_value(parameter);
  } else if (!read_quoted_value(parameter)) {
    problem_ = "a quoted value of the connection string does not end";
    return std::nullopt;
  }
  parameter.source = text_.substr(begin, at_ - begin);
  return parameter;
}

void KeywordConninfoParser::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) {
    ++at_;
  }
}

void KeywordConninfoParser::append_character(Parameter& parameter) {
  if (text_[at_] == '\\') {
    ++at_;
    if (at_ == text_.size()) {
      return;
    }
  }
  parameter.value += text_[at_++];
}

void KeywordConninfoParser::read_plain_value(Parameter& parameter) {
  while (at_ < text_.size() && !is_space(text_[at_])) {
    append_character(parameter);
  }
}

// False when the closing quote is missing.
bool KeywordConninfoParser::read_quoted_value(Parameter& parameter) {
  ++at_;
  while (at_ < text_.size() && text_[at_] != '\'') {
    append_character(parameter);
  }
  if (at_ == text_.size()) {
    return false;
  }
  ++at_;
  return true;
}

}  // namespace headgate::config
