// Reads one configuration file through its sections, and reports the keys that none of them knows.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/findings.hpp"
#include "config/section.hpp"
#include "config/yaml_tree.hpp"

namespace headgate::config {

// What the sections of one file share. Not thread-safe.
class YamlReader {
 public:
  // `root` is a mapping; `findings` must outlive the reader.
  YamlReader(YamlNodePtr root, Findings& findings);

  Section root();

  // Adds a finding for each key that was not asked for. Call it when everything has been read.
  void report_unknown_keys();

  // All keys that were asked for, as `sinks[].path`, with the names of sections among them.
  std::vector<std::string> asked_keys() const;

  struct Warning {
    Place place;
    std::string message;
  };
  const std::vector<Warning>& warnings() const { return warnings_; }

 private:
  friend class Section;

  void report_unknown_key(const Section& section, const YamlEntry& entry);
  std::string where_it_belongs(const std::string& key) const;

  YamlNodePtr root_;
  Findings& findings_;
  std::vector<Warning> warnings_;
  std::vector<Section> visited_;                           // those the file has
  std::map<std::string, std::vector<std::string>> asked_;  // by section's pattern, in order
};

}  // namespace headgate::config
