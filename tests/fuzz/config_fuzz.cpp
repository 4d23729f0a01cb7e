// Whole configuration files.
//
// "hunter2", also as ${HEADGATE_FUZZ_SECRET}, stands for a secret.

#include <algorithm>
#include <cstdlib>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config/env_expansion.hpp"
#include "config/findings.hpp"
#include "config/text.hpp"
#include "config/yaml_tree.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

using config::YamlNode;

// A YAML double-quoted text of one line.
std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

// The tree as YAML again, aliases written out. Nothing when that would be very large.
class Writer {
 public:
  bool write(const YamlNode& node) {
    constexpr std::size_t kBytesMax = std::size_t{100} * 1024;
    constexpr std::size_t kKeyBytesMax = 500;  // yaml-cpp takes about 1000 before the colon
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        text_ += "null";
        break;
      case YamlNode::Kind::kText:
        text_ += quoted(node.text);
        break;
      case YamlNode::Kind::kList:
        text_ += "[";
        for (const auto& item : node.items) {
          if (!write(*item)) return false;
          text_ += ", ";
        }
        text_ += "]";
        break;
      case YamlNode::Kind::kMap:
        text_ += "{";
        for (const auto& entry : node.entries) {
          if (entry.key.size() > kKeyBytesMax) return false;
          text_ += quoted(entry.key) + ": ";
          if (!write(*entry.value)) return false;
          text_ += ", ";
        }
        text_ += "}";
        break;
    }
    return text_.size() < kBytesMax;
  }

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool same(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() ||
      a.entries.size() != b.entries.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!same(*a.items[i], *b.items[i])) return false;
  }
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    if (a.entries[i].key != b.entries[i].key || !same(*a.entries[i].value, *b.entries[i].value)) {
      return false;
    }
  }
  return true;
}

// REQUIRES: a small tree, aliases written out.
bool has_key_twice(const YamlNode& node) {
  std::set<std::string> keys;
  return std::any_of(node.items.begin(), node.items.end(),
                     [](const auto& item) { return has_key_twice(*item); }) ||
         std::any_of(node.entries.begin(), node.entries.end(), [&](const auto& entry) {
           return !keys.insert(entry.key).second || has_key_twice(*entry.value);
         });
}

bool holds_secret(std::string_view text) {
  return text.find(kSecret) != text.npos;
}

// Names of variables are shown, to say which one is not set.
bool is_in_variable_name(std::string_view text) {
  for (auto at = text.find("${"); at != text.npos; at = text.find("${", at + 2)) {
    if (holds_secret(text.substr(at, text.find('}', at) - at))) return true;
  }
  return false;
}

// Whether the secret stands, written or by its variable, where no secret belongs: then it may be
// shown.
bool is_misplaced(const YamlNode& node, bool secret_key) {
  if (node.kind == YamlNode::Kind::kText) {
    const bool there =
        holds_secret(node.text) || holds_secret(config::expand_environment(node.text).text);
    return there && (!secret_key || is_in_variable_name(node.text));
  }
  for (const auto& item : node.items) {
    if (is_misplaced(*item, false)) return true;
  }
  for (const auto& [key, line, value] : node.entries) {
    // A path is shown, so that it can be found; what has no slash may be the secret itself.
    const bool file = (key == "password_file" || key == "token_file") &&
                      value->text.find('/') == std::string::npos;
    if (holds_secret(key) || is_misplaced(*value, key == "dsn" || file)) return true;
  }
  return false;
}

std::string described(const Config& config) {
  const auto& source = config.source;
  std::string text = fmt::format(
      "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", config.pipeline, source.conninfo,
      source.password, source.slot, source.publication, fmt::join(source.tables, ","),
      config.cdc.interval.count(), config.cdc.max_transactions, config.cdc.max_batch_bytes,
      config.snapshot.in_chunks, config.snapshot.existing, config.storage_dir, config.memory_limit,
      config.shutdown_timeout.count(), config.http.listen, config.http.token,
      config.warnings.size());
  for (const SinkSettings& sink : config.sinks) {
    text += fmt::format("|{} {} ", sink.name, sink.mirror ? sink.mirror->schema : "no mirror");
    if (const auto* sqlite = std::get_if<sink::sqlite::Options>(&sink.driver)) {
      text += sqlite->path;
    } else if (const auto* postgres = std::get_if<sink::postgres::Options>(&sink.driver)) {
      text += postgres->conninfo + postgres->password;
    }
  }
  return text;
}

// What a person is shown.
void check_message(std::string_view message, bool may_show_secret) {
  require(message.size() < 100'000, "a message is of bearable length");
  require(!config::find_invalid_utf8(message), "a message is UTF-8");
  for (const char c : message) {
    require(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F),
            "a message has no control characters");
  }
  require(may_show_secret || !holds_secret(message), "a message never holds a secret");
}

}  // namespace

HEADGATE_FUZZ_TARGET(config) {
  // Opening a device, or a file that the system makes up, may do anything.
  for (const char* folder : {"/dev", "/proc", "/sys"}) {
    if (input.find(folder) != input.npos) return;
  }
  ::setenv("HEADGATE_FUZZ_SECRET", "hunter2", 1);
  config::Findings findings;
  const config::YamlNodePtr tree = config::parse_yaml(input, findings);
  require(tree != nullptr || !findings.empty(), "a file without a tree has a finding");

  std::string written;
  if (tree != nullptr) {
    Writer writer;
    if (writer.write(*tree)) {
      written = writer.text();
      require(!has_key_twice(*tree), "a mapping has no key twice");
      config::Findings none;
      const config::YamlNodePtr again = config::parse_yaml(written, none);
      require(again != nullptr && none.empty() && same(*tree, *again), "a tree reads back");
    }
  }
  const bool may_show = tree == nullptr ? holds_secret(input) : is_misplaced(*tree, false);
  try {
    const Config config = parse_config("c.yml", std::string(input));
    require(findings.empty(), "a file with findings is refused");
    for (const std::string& warning : config.warnings) {
      check_message(warning, may_show);
    }
    if (!written.empty()) {
      require(described(parse_config("c.yml", written)) == described(config),
              "a file written anew means the same");
    }
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kConfig, "a bad file is a mistake in the file");
    check_message(error.describe(), may_show);
  }
}

}  // namespace headgate::fuzz
