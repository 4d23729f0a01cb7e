// A YAML document as a tree that keeps lines, built with limits so that hostile input stays cheap.
//
// yaml-cpp's own tree silently keeps one of two equal keys and resolves aliases without a bound, so
// this one is built from the parser's events.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/findings.hpp"

namespace headgate::config {

struct YamlNode;
// Shared, because an alias stands for the very node that its anchor names: a file full of aliases
// costs no more than its own size.
using YamlNodePtr = std::shared_ptr<const YamlNode>;

struct YamlEntry {
  std::string key;
  int line = 0;  // of the key, from 1
  YamlNodePtr value;
};

struct YamlNode {
  enum class Kind { kNull, kText, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;  // from 1
  // The longest way down to a leaf: 0 for a text, 1 for a list of texts.
  int height = 0;

  std::string text;                // kText: valid UTF-8 without NUL
  std::vector<YamlNodePtr> items;  // kList
  std::vector<YamlEntry> entries;  // kMap, in the file's order, no key twice
};

inline constexpr std::size_t kYamlBytesMax = std::size_t{1024} * 1024;
inline constexpr int kYamlDepthMax = 32;

// Reads the one document in `yaml`. Returns null when there is nothing to go on with; then, and
// also beside a tree (for a key that stands twice), `findings` says what is wrong.
YamlNodePtr parse_yaml(std::string_view yaml, Findings& findings);

}  // namespace headgate::config
