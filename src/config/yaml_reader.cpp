#include "config/yaml_reader.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/suggestion.hpp"
#include "config/text.hpp"

namespace headgate::config {
namespace {

// With more mistakes than anybody reads, the nearest key is no longer looked for.
constexpr std::size_t kExplainedMax = 200;

}  // namespace

YamlReader::YamlReader(YamlNodePtr root, Findings& findings)
    : root_(std::move(root)), findings_(findings) {}

Section YamlReader::root() {
  Section root(*this, root_, "", "", 1);
  visited_.push_back(root);
  return root;
}

std::vector<std::string> YamlReader::asked_keys() const {
  std::vector<std::string> keys;
  for (const auto& [pattern, names] : asked_) {
    for (const std::string& name : names) {
      keys.push_back(joined_key(pattern, name));
    }
  }
  return keys;
}

void YamlReader::report_unknown_keys() {
  for (const Section& section : visited_) {
    const std::vector<std::string>& asked = asked_[section.pattern_];
    for (const YamlEntry& entry : section.node_->entries) {
      if (std::find(asked.begin(), asked.end(), entry.key) == asked.end()) {
        report_unknown_key(section, entry);
      }
    }
  }
}

void YamlReader::report_unknown_key(const Section& section, const YamlEntry& entry) {
  const std::vector<std::string>& known = asked_[section.pattern_];
  const Place place{joined_key(section.path_, shown_bare(entry.key)), entry.line};
  const bool has_password_file =
      std::find(known.begin(), known.end(), "password_file") != known.end();
  if (findings_.size() > kExplainedMax) {
    findings_.add(place, "unknown key");
  } else if (entry.key == "<<") {
    findings_.add(place, "merge keys are not supported", "write the keys out");
  } else if (entry.key == "password" && has_password_file) {
    findings_.add(place, "unknown key: passwords are not written here",
                  "put it into a file of mode 0600 and name that with password_file:");
  } else if (const auto meant = nearest(entry.key, known)) {
    findings_.add(place, fmt::format("unknown key, did you mean \"{}\"?", *meant));
  } else if (const std::string owner = where_it_belongs(entry.key); !owner.empty()) {
    findings_.add(place, fmt::format("unknown key here, it belongs {}", owner));
  } else {
    findings_.add(place, fmt::format("unknown key, known are: {}", fmt::join(known, ", ")));
  }
}

std::string YamlReader::where_it_belongs(const std::string& key) const {
  std::vector<std::string> owners;
  for (const auto& [pattern, names] : asked_) {
    if (std::find(names.begin(), names.end(), key) != names.end()) {
      owners.push_back(pattern.empty() ? "at the top" : fmt::format("under `{}`", pattern));
    }
  }
  return fmt::format("{}", fmt::join(owners, " or "));
}

}  // namespace headgate::config
