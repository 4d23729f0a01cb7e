#include "config/yaml_tree.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "config/text.hpp"

namespace headgate::config {
namespace {

// Ends the parser's work from inside one of its events. Never leaves this file.
struct Refused {
  Place place;
  std::string message;
  std::string remedy;
};

int line_of(const YAML::Mark& mark) {
  return mark.is_null() ? 0 : mark.line + 1;
}

// Builds the tree from the parser's events.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Findings& findings) : findings_(findings) {}

  // Null until the document has ended.
  YamlNodePtr root() const { return root_; }

  // Of the last event, from 1.
  int last_line() const { return last_line_; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root_ != nullptr) {
      throw Refused{
          {"", line_of(mark)}, "a second document begins here: a pipeline's file has one", {}};
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto node = std::make_shared<YamlNode>();
    node->line = line_of(mark);
    complete(std::move(node), node_line(mark), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_tag(mark, tag, "tag:yaml.org,2002:str");
    if (value.find('\0') != std::string::npos || find_invalid_utf8(value)) {
      throw Refused{{path(), line_of(mark)}, "holds an escape that is no character of a text", {}};
    }
    auto node = std::make_shared<YamlNode>();
    node->kind = YamlNode::Kind::kText;
    node->line = line_of(mark);
    node->text = value;
    complete(std::move(node), node_line(mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Refused{{path(), line_of(mark)}, "an alias inside of what it stands for", {}};
    }
    complete(found->second, line_of(mark), YAML::NullAnchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    refuse_tag(mark, tag, "tag:yaml.org,2002:seq");
    open(YamlNode::Kind::kList, mark, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    refuse_tag(mark, tag, "tag:yaml.org,2002:map");
    open(YamlNode::Kind::kMap, mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Key {
    std::string text;
    int line = 0;
  };

  // A list or map whose end has not been read.
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    std::optional<Key> key;           // of a map: read, and its value not yet
    std::map<std::string, int> keys;  // of a map: those seen, with their lines
  };

  // The parser knows no line for a value that is not there.
  int node_line(const YAML::Mark& mark) const {
    const bool value = !open_.empty() && open_.back().key;
    return value ? open_.back().key->line : line_of(mark);
  }

  std::string path() const {
    std::string text;
    for (const Open& level : open_) {
      if (level.node->kind == YamlNode::Kind::kList) {
        text += fmt::format("[{}]", level.node->items.size());
      } else if (level.key) {
        text += (text.empty() ? "" : ".") + shown_bare(level.key->text);
      }
    }
    return text;
  }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag, std::string_view allowed) const {
    const bool plain = tag.empty() || tag == "?" || tag == "!";
    if (!plain && tag != allowed) {
      throw Refused{{path(), line_of(mark)},
                    "a YAML tag means nothing here",
                    "a text that begins with ! needs quotes: \"!sales.tmp_*\""};
    }
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    refuse_depth(line_of(mark), 1);
    last_line_ = line_of(mark);
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->line = line_of(mark);
    open_.push_back({std::move(node), anchor, std::nullopt, {}});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    const int line = done.node->line;
    complete(std::move(done.node), line, done.anchor);
  }

  void refuse_depth(int line, int height) const {
    if (static_cast<int>(open_.size()) + height > kYamlDepthMax) {
      throw Refused{{"", line}, fmt::format("nested more than {} levels deep", kYamlDepthMax), {}};
    }
  }

  // Puts a node that has been read whole into the list, map or document that it stands in.
  void complete(YamlNodePtr node, int line, YAML::anchor_t anchor) {
    last_line_ = std::max(last_line_, line);
    refuse_depth(line, node->height);
    if (anchor != YAML::NullAnchor) {
      anchors_[anchor] = node;
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node->kind == YamlNode::Kind::kList) {
      grow(*parent.node, *node);
      parent.node->items.push_back(std::move(node));
    } else if (!parent.key) {
      take_key(*node, line);
    } else {
      take_value(std::move(node));
    }
  }

  void take_key(const YamlNode& node, int line) {
    if (node.kind != YamlNode::Kind::kText || node.text.empty()) {
      throw Refused{{path(), line}, "a key that is not a word", "write `key: value`"};
    }
    open_.back().key = Key{node.text, line};
  }

  void take_value(YamlNodePtr value) {
    Open& parent = open_.back();
    const auto [first, is_new] = parent.keys.emplace(parent.key->text, parent.key->line);
    if (is_new) {
      grow(*parent.node, *value);
      parent.node->entries.push_back({parent.key->text, parent.key->line, std::move(value)});
    } else {
      findings_.add({path(), parent.key->line},
                    fmt::format("stands here a second time (first on line {})", first->second));
    }
    parent.key.reset();
  }

  static void grow(YamlNode& parent, const YamlNode& child) {
    parent.height = std::max(parent.height, child.height + 1);
  }

  Findings& findings_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNodePtr> anchors_;
  YamlNodePtr root_;
  int last_line_ = 1;
};

// What yaml-cpp would read wrongly, or complain about in words that help nobody.
bool bytes_are_sound(std::string_view yaml, Findings& findings) {
  if (yaml.size() > kYamlBytesMax) {
    findings.add({}, "larger than 1MiB: is this the right file?");
    return false;
  }
  const auto line_at = [&](std::size_t at) {
    return 1 +
           static_cast<int>(std::count(yaml.begin(), yaml.begin() + static_cast<long>(at), '\n'));
  };
  if (const std::size_t nul = yaml.find('\0'); nul != yaml.npos) {
    findings.add({"", line_at(nul)}, "a NUL byte: this is no text file");
    return false;
  }
  if (const auto bad = find_invalid_utf8(yaml)) {
    findings.add({"", line_at(*bad)}, "not UTF-8 text", "save the file as UTF-8");
    return false;
  }
  return true;
}

bool has_no_tabs(std::string_view yaml, Findings& findings) {
  bool sound = true;
  int line_number = 0;
  for (std::size_t at = 0; at < yaml.size();) {
    const std::size_t end = std::min(yaml.find('\n', at), yaml.size());
    const std::string_view line = yaml.substr(at, end - at);
    const std::size_t text = line.find_first_not_of(" \t\r");
    const std::size_t tab = line.find('\t');
    ++line_number;
    if (text != line.npos && tab < text) {
      findings.add({"", line_number}, "a tab in the indentation", "YAML wants spaces there");
      sound = false;
    }
    at = end + 1;
  }
  return sound;
}

// A remedy for what the parser says, where its cause is nearly always the same.
std::string remedy_for(const std::string& message) {
  if (message.find("alias") != message.npos || message.find("anchor") != message.npos) {
    return "a text that begins with * or & needs quotes: \"*.orders\"";
  }
  if (message.find("flow") != message.npos) {
    return "inside of [ ] and { }, a text with ${NAME} needs quotes";
  }
  return {};
}

// Where the parser stumbled; or, when that is at the end of the file, the last line that made
// sense.
Place place_of(const YAML::Exception& error, std::string_view yaml, const TreeBuilder& builder) {
  const auto line_ends = std::count(yaml.begin(), yaml.end(), '\n');
  const bool in_file = !error.mark.is_null() && error.mark.line <= line_ends &&
                       static_cast<std::size_t>(error.mark.pos) < yaml.size();
  return in_file ? Place{"", error.mark.line + 1, error.mark.column + 1}
                 : Place{"", builder.last_line()};
}

void parse_documents(std::string_view yaml, TreeBuilder& builder, Findings& findings) {
  try {
    // At the end of a file yaml-cpp takes a text whose closing quote is missing, with all that
    // follows in it. An end mark in a quoted text it does not take.
    std::istringstream stream{std::string(yaml) + "\n...\n"};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    findings.add(refused.place, refused.message, refused.remedy);
  } catch (const YAML::Exception& error) {
    if (error.msg == YAML::ErrorMsg::DOC_IN_SCALAR) {
      findings.add({"", builder.last_line()},
                   "a quote that opens on or after this line is not closed");
      return;
    }
    // It may quote a single byte of the file, whatever that is.
    findings.add(place_of(error, yaml, builder), "YAML: " + shown_bare(error.msg),
                 remedy_for(error.msg));
  }
}

}  // namespace

YamlNodePtr parse_yaml(std::string_view yaml, Findings& findings) {
  if (!bytes_are_sound(yaml, findings) || !has_no_tabs(yaml, findings)) {
    return nullptr;
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (yaml.starts_with(kByteOrderMark)) {
    yaml.remove_prefix(kByteOrderMark.size());
  }

  const std::size_t found_before = findings.size();
  TreeBuilder builder(findings);
  parse_documents(yaml, builder, findings);
  YamlNodePtr root = builder.root();
  if (root == nullptr || root->kind == YamlNode::Kind::kNull) {
    if (findings.size() == found_before) {
      findings.add({}, "the file is empty", "config/headgate.minimal.yml is a start");
    }
    return nullptr;
  }
  if (root->kind != YamlNode::Kind::kMap) {
    findings.add({"", root->line}, "not a mapping",
                 "write `key: value` lines, from `pipeline: NAME` on");
    return nullptr;
  }
  return root;
}

}  // namespace headgate::config
