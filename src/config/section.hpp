// Typed access to the keys of one mapping of a configuration file.
//
// A key is known because a section asked for it: what nobody asked for is reported as unknown, so
// no setting can be written that is not read. Every mistake becomes a finding and the default is
// returned, so that the rest of the file is still checked.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "config/findings.hpp"
#include "config/yaml_tree.hpp"

namespace headgate::config {

class YamlReader;

// A value of the file, after ${NAME}. Never empty.
struct Scalar {
  std::string value;
  // As the file has it, before ${NAME}, in quotes: for messages about keys that hold no secret.
  std::string shown;
  Place place;
};

// Both ends are allowed.
template <typename T>
struct Range {
  T min;
  T max;
};

// One mapping of the file, or its absence: a section that is left out has all its defaults. A cheap
// handle; the reader must outlive it. Get each section once, or its findings are told twice.
//
// For all keys: a missing key and `key: null` mean the default.
class Section {
 public:
  // Whether the file has this section, and as a mapping.
  bool present() const { return node_ != nullptr; }

  // Whether the key is there and not null; with is_null, whether it is there and null.
  bool has(std::string_view key) const;
  bool is_null(std::string_view key) const;
  bool is_empty_list(std::string_view key) const;

  Section section(std::string_view key) const;
  // As section(), for a key that takes other things too: it is absent then, without a finding.
  Section section_if_map(std::string_view key) const;
  // Its being absent is a finding, unless this section itself is.
  Section required_section(std::string_view key) const;

  // The mappings of a list; empty when it is absent.
  std::vector<Section> sections(std::string_view key) const;
  // The texts of a list; those that are no text are findings and left out.
  std::vector<Scalar> texts(std::string_view key) const;

  std::optional<Scalar> text(std::string_view key) const;
  std::optional<Scalar> required_text(std::string_view key) const;

  bool flag(std::string_view key, bool otherwise) const;
  std::uint64_t number(std::string_view key, std::uint64_t otherwise,
                       Range<std::uint64_t> range) const;
  std::uint64_t size(std::string_view key, std::uint64_t otherwise,
                     Range<std::uint64_t> range) const;
  Duration duration(std::string_view key, Duration otherwise, Range<Duration> range) const;
  // One of a few words.
  std::string choice(std::string_view key, std::string_view otherwise,
                     const std::vector<std::string_view>& allowed) const;
  // The same without a default: its being absent is a finding, and nothing is returned then or for
  // a word that is not allowed.
  std::optional<std::string> required_choice(std::string_view key,
                                             const std::vector<std::string_view>& allowed) const;

  // Where `key` stands; for an absent one, where its section does.
  Place place(std::string_view key) const;
  void fail(std::string_view key, std::string message, std::string remedy = {}) const;
  void fail(const Place& place, std::string message, std::string remedy = {}) const;
  // The key works, but not as its words say.
  void warn(std::string_view key, std::string message) const;

 private:
  friend class YamlReader;

  Section(YamlReader& reader, YamlNodePtr node, std::string path, std::string pattern, int line);

  const YamlEntry* entry(std::string_view key) const;
  // Null for an absent or null key.
  const YamlNode* value(std::string_view key) const;
  std::optional<Scalar> scalar(const YamlNode& node, const Place& place) const;
  void fail_missing(std::string_view key) const;
  Section child(YamlNodePtr node, const Place& place, const std::string& pattern) const;
  std::string path_of(std::string_view key) const;
  Place place_of_item(std::string_view key, std::size_t index, const YamlNode& item) const;

  YamlReader* reader_;
  YamlNodePtr node_;     // a mapping, or null
  std::string path_;     // `sinks[0]`
  std::string pattern_;  // `sinks[]`: the same for all items of a list
  int line_;
};

}  // namespace headgate::config
