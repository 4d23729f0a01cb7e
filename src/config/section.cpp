#include "config/section.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/env_expansion.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "config/yaml_reader.hpp"

namespace headgate::config {
namespace {

// No pipeline needs more sinks; through aliases a small file could ask for very many.
constexpr std::size_t kSectionsMax = 100;

std::string_view kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kText:
      return "a single value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a mapping";
  }
  return "something else";
}

std::string expected(std::string_view what, const YamlNode& node) {
  return fmt::format("expected {}, found {}", what, kind_name(node.kind));
}

}  // namespace

Section::Section(YamlReader& reader, YamlNodePtr node, std::string path, std::string pattern,
                 int line)
    : reader_(&reader),
      node_(std::move(node)),
      path_(std::move(path)),
      pattern_(std::move(pattern)),
      line_(line) {}

const YamlEntry* Section::entry(std::string_view key) const {
  std::vector<std::string>& asked = reader_->asked_[pattern_];
  if (std::find(asked.begin(), asked.end(), key) == asked.end()) {
    asked.emplace_back(key);
  }
  if (node_ == nullptr) {
    return nullptr;
  }
  const auto found = std::find_if(node_->entries.begin(), node_->entries.end(),
                                  [&](const YamlEntry& entry) { return entry.key == key; });
  return found == node_->entries.end() ? nullptr : &*found;
}

const YamlNode* Section::value(std::string_view key) const {
  const YamlEntry* found = entry(key);
  const bool absent = found == nullptr || found->value->kind == YamlNode::Kind::kNull;
  return absent ? nullptr : found->value.get();
}

bool Section::has(std::string_view key) const {
  return value(key) != nullptr;
}

bool Section::is_null(std::string_view key) const {
  return entry(key) != nullptr && value(key) == nullptr;
}

bool Section::is_empty_list(std::string_view key) const {
  const YamlNode* node = value(key);
  return node != nullptr && node->kind == YamlNode::Kind::kList && node->items.empty();
}

std::string Section::path_of(std::string_view key) const {
  return joined_key(path_, shown_bare(key));
}

Place Section::place(std::string_view key) const {
  const YamlEntry* found = entry(key);
  return {path_of(key), found == nullptr ? line_ : found->line};
}

Place Section::place_of_item(std::string_view key, std::size_t index, const YamlNode& item) const {
  // The parser knows no line for an item that is not there.
  const bool absent = item.kind == YamlNode::Kind::kNull;
  return {fmt::format("{}[{}]", path_of(key), index), absent ? place(key).line : item.line};
}

void Section::fail(std::string_view key, std::string message, std::string remedy) const {
  fail(place(key), std::move(message), std::move(remedy));
}

void Section::fail(const Place& place, std::string message, std::string remedy) const {
  reader_->findings_.add(place, std::move(message), std::move(remedy));
}

void Section::warn(std::string_view key, std::string message) const {
  reader_->warnings_.push_back({place(key), std::move(message)});
}

void Section::fail_missing(std::string_view key) const {
  // For an absent section one finding is enough: that it is absent.
  if (present()) {
    fail(key, "missing, and there is no default");
  }
}

Section Section::child(YamlNodePtr node, const Place& place, const std::string& pattern) const {
  if (node != nullptr && node->kind != YamlNode::Kind::kMap) {
    if (node->kind != YamlNode::Kind::kNull) {
      fail(place, expected("a mapping of keys", *node));
    }
    node = nullptr;
  }
  Section result(*reader_, std::move(node), place.key, pattern, place.line);
  if (result.present()) {
    reader_->visited_.push_back(result);
  }
  return result;
}

Section Section::section(std::string_view key) const {
  const YamlEntry* found = entry(key);
  return child(found == nullptr ? nullptr : found->value, place(key), joined_key(pattern_, key));
}

Section Section::section_if_map(std::string_view key) const {
  const YamlNode* node = value(key);
  const bool map = node != nullptr && node->kind == YamlNode::Kind::kMap;
  return child(map ? entry(key)->value : nullptr, place(key), joined_key(pattern_, key));
}

Section Section::required_section(std::string_view key) const {
  if (!has(key)) {
    fail_missing(key);
  }
  return section(key);
}

std::vector<Section> Section::sections(std::string_view key) const {
  const YamlNode* node = value(key);
  std::vector<Section> result;
  if (node == nullptr) {
    return result;
  }
  if (node->kind != YamlNode::Kind::kList) {
    fail(key, expected("a list", *node));
    return result;
  }
  if (node->items.size() > kSectionsMax) {
    fail(key,
         fmt::format("a list of {}: at most {} are allowed", node->items.size(), kSectionsMax));
    return result;
  }
  for (const YamlNodePtr& item : node->items) {
    const Place item_place = place_of_item(key, result.size(), *item);
    if (item->kind == YamlNode::Kind::kNull) {
      fail(item_place, expected("a mapping of keys", *item));
    }
    result.push_back(child(item, item_place, joined_key(pattern_, key) + "[]"));
  }
  return result;
}

std::vector<Scalar> Section::texts(std::string_view key) const {
  const YamlNode* node = value(key);
  std::vector<Scalar> result;
  if (node == nullptr) {
    return result;
  }
  if (node->kind != YamlNode::Kind::kList) {
    fail(key, expected("a list", *node));
    return result;
  }
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const YamlNode& item = *node->items[i];
    if (auto text = scalar(item, place_of_item(key, i, item))) {
      result.push_back(std::move(*text));
    }
  }
  return result;
}

std::optional<Scalar> Section::scalar(const YamlNode& node, const Place& place) const {
  if (node.kind != YamlNode::Kind::kText) {
    fail(place, expected("a single value", node));
    return std::nullopt;
  }
  Expansion expansion = expand_environment(node.text);
  for (const std::string& problem : expansion.problems) {
    fail(place, problem, "$${ stands for a literal ${");
  }
  if (!expansion.problems.empty()) {
    return std::nullopt;
  }
  if (expansion.text.empty()) {
    fail(place, node.text.empty() ? "empty" : fmt::format("{} is empty", shown(node.text)),
         "leave the key out for its default");
    return std::nullopt;
  }
  return Scalar{std::move(expansion.text), shown(node.text), place};
}

std::optional<Scalar> Section::text(std::string_view key) const {
  const YamlNode* node = value(key);
  return node == nullptr ? std::nullopt : scalar(*node, place(key));
}

std::optional<Scalar> Section::required_text(std::string_view key) const {
  if (!has(key)) {
    fail_missing(key);
  }
  return text(key);
}

bool Section::flag(std::string_view key, bool otherwise) const {
  const std::optional<Scalar> text = this->text(key);
  if (!text) {
    return otherwise;
  }
  constexpr std::array<std::string_view, 3> kTrue = {"true", "True", "TRUE"};
  constexpr std::array<std::string_view, 3> kFalse = {"false", "False", "FALSE"};
  if (std::find(kTrue.begin(), kTrue.end(), text->value) != kTrue.end()) {
    return true;
  }
  if (std::find(kFalse.begin(), kFalse.end(), text->value) != kFalse.end()) {
    return false;
  }
  fail(text->place, fmt::format("{} is neither true nor false", text->shown));
  return otherwise;
}

std::uint64_t Section::number(std::string_view key, std::uint64_t otherwise,
                              Range<std::uint64_t> range) const {
  const std::optional<Scalar> text = this->text(key);
  if (!text) {
    return otherwise;
  }
  const std::optional<std::uint64_t> number = parse_number(text->value);
  if (!number || *number < range.min || *number > range.max) {
    fail(text->place,
         fmt::format("{} is not a whole number from {} to {}", text->shown, range.min, range.max));
    return otherwise;
  }
  return *number;
}

std::uint64_t Section::size(std::string_view key, std::uint64_t otherwise,
                            Range<std::uint64_t> range) const {
  const std::optional<Scalar> text = this->text(key);
  if (!text) {
    return otherwise;
  }
  const std::optional<std::uint64_t> bytes = parse_size(text->value);
  if (!bytes) {
    fail(text->place, fmt::format("{} is not {}", text->shown, kSizeForm));
    return otherwise;
  }
  if (*bytes < range.min || *bytes > range.max) {
    fail(text->place, fmt::format("{} is not from {} to {}", text->shown, format_size(range.min),
                                  format_size(range.max)));
    return otherwise;
  }
  return *bytes;
}

Duration Section::duration(std::string_view key, Duration otherwise, Range<Duration> range) const {
  const std::optional<Scalar> text = this->text(key);
  if (!text) {
    return otherwise;
  }
  const std::optional<Duration> duration = parse_duration(text->value);
  if (!duration) {
    fail(text->place, fmt::format("{} is not {}", text->shown, kDurationForm));
    return otherwise;
  }
  if (*duration < range.min || *duration > range.max) {
    fail(text->place, fmt::format("{} is not from {} to {}", text->shown,
                                  format_duration(range.min), format_duration(range.max)));
    return otherwise;
  }
  return *duration;
}

std::string Section::choice(std::string_view key, std::string_view otherwise,
                            const std::vector<std::string_view>& allowed) const {
  if (!has(key)) {
    return std::string(otherwise);
  }
  return required_choice(key, allowed).value_or(std::string(otherwise));
}

std::optional<std::string> Section::required_choice(
    std::string_view key, const std::vector<std::string_view>& allowed) const {
  const std::optional<Scalar> text = required_text(key);
  if (!text) {
    return std::nullopt;
  }
  if (std::find(allowed.begin(), allowed.end(), text->value) == allowed.end()) {
    fail(text->place, fmt::format("{} is not one of: {}", text->shown, fmt::join(allowed, ", ")));
    return std::nullopt;
  }
  return text->value;
}

}  // namespace headgate::config
