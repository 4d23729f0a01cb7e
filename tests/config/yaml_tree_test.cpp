#include "config/yaml_tree.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

YamlNodePtr parse(const std::string& yaml) {
  Findings findings;
  YamlNodePtr tree = parse_yaml(yaml, findings);
  INFO(findings.describe("t"));
  REQUIRE(findings.empty());
  REQUIRE(tree != nullptr);
  return tree;
}

std::string problem(const std::string& yaml) {
  Findings findings;
  parse_yaml(yaml, findings);
  return findings.describe("t");
}

TEST_CASE("the tree keeps order, kinds and lines") {
  const YamlNodePtr tree = parse("a: text\nb:\n  c: [x, y]\nd: null\ne: \"null\"\nf:\n");
  REQUIRE(tree->entries.size() == 5);
  CHECK(tree->entries[0].value->text == "text");
  CHECK(tree->entries[1].line == 2);
  const YamlNode& b = *tree->entries[1].value;
  REQUIRE(b.kind == YamlNode::Kind::kMap);
  CHECK(b.entries[0].line == 3);
  CHECK(b.entries[0].value->items[1]->text == "y");
  CHECK(tree->entries[2].value->kind == YamlNode::Kind::kNull);
  CHECK(tree->entries[3].value->kind == YamlNode::Kind::kText);
  CHECK(tree->entries[4].value->kind == YamlNode::Kind::kNull);
  CHECK(tree->height == 3);
}

TEST_CASE("an alias is the node that its anchor names") {
  const YamlNodePtr tree = parse("a: &x {b: c}\nd: *x\n");
  CHECK(tree->entries[0].value == tree->entries[1].value);
}

TEST_CASE("a byte order mark, Windows line ends and an end mark are no mistake") {
  CHECK(parse("\xEF\xBB\xBF"
              "a: b\r\nc: d\r\n...\n")
            ->entries.size() == 2);
  CHECK(parse("---\na: b\n")->entries.size() == 1);
}

TEST_CASE("what is no sound YAML mapping is one clear finding") {
  struct Case {
    std::string yaml;
    std::string finding;
  };
  const std::string nul("a: b\nc: \0\n", 10);
  const Case cases[] = {
      {"", "t: the file is empty\n  config/headgate.minimal.yml is a start"},
      {"# nothing\n", "t: the file is empty\n  config/headgate.minimal.yml is a start"},
      {"---\n", "t: the file is empty\n  config/headgate.minimal.yml is a start"},
      {"~\n", "t: the file is empty\n  config/headgate.minimal.yml is a start"},
      {"- a\n- b\n", "t:1: not a mapping\n  write `key: value` lines, from `pipeline: NAME` on"},
      {"\nhello\n", "t:2: not a mapping\n  write `key: value` lines, from `pipeline: NAME` on"},
      {"a: b\n---\nc: d\n", "t:2: a second document begins here: a pipeline's file has one"},
      {"a: b\n\tc: d\n\te: f\n",
       "t:2: a tab in the indentation\n  YAML wants spaces there\n"
       "t:3: a tab in the indentation\n  YAML wants spaces there"},
      {"a: b\n  \t c: d\n", "t:2: a tab in the indentation\n  YAML wants spaces there"},
      {"a: b\nc: \xFF\n", "t:2: not UTF-8 text\n  save the file as UTF-8"},
      {nul, "t:2: a NUL byte: this is no text file"},
      {"a: \"x\\0y\"\n", "t:1: a: holds an escape that is no character of a text"},
      {"a: \"\\uD800\"\n", "t:1:11: YAML: invalid unicode: 55296"},
      {"a: b\nc: d\na: e\n", "t:3: a: stands here a second time (first on line 1)"},
      {"a:\n  - {b: 1, b: 2}\n", "t:2: a[0].b: stands here a second time (first on line 2)"},
      {"a: !!binary aGk=\n",
       "t:1: a: a YAML tag means nothing here\n  a text that begins with ! needs quotes: "
       "\"!sales.tmp_*\""},
      {"a: [x, !y]\n",
       "t:1: a[1]: a YAML tag means nothing here\n  a text that begins with ! needs quotes: "
       "\"!sales.tmp_*\""},
      {"? [a]\n: b\n", "t:1: a key that is not a word\n  write `key: value`"},
      {"a: &x [*x]\n", "t:1: a[0]: an alias inside of what it stands for"},
      {"a: [*.orders]\n",
       "t:1:5: YAML: the referenced anchor is not defined\n  a text that begins with * or & needs "
       "quotes: "
       "\"*.orders\""},
      {"a: b\n c: d: e\n", "t:2:3: YAML: illegal map value"},
      {"a: [b\n",
       "t:1: YAML: end of sequence flow not found\n  inside of [ ] and { }, a text with ${NAME} "
       "needs quotes"},
      {"a: \"b\n", "t:1: a quote that opens on or after this line is not closed"},
      {"a: b\nc: 'd\ne: f\n", "t:2: a quote that opens on or after this line is not closed"},
      {"a: b\nc: [d,\n  \"e", "t:2: a quote that opens on or after this line is not closed"},
      {"a: {b: ${C} }\n",
       "t:1:9: YAML: end of map flow not found\n  inside of [ ] and { }, a text with ${NAME} "
       "needs quotes"},
      {"{a: b} c\n", "t:1: a second document begins here: a pipeline's file has one"},
  };
  for (const Case& c : cases) {
    INFO(c.yaml);
    CHECK(problem(c.yaml) == c.finding);
  }
}

TEST_CASE("nesting is allowed to 32 levels, and no deeper, also through aliases") {
  const auto nested = [](std::size_t depth) {
    return "a: " + std::string(depth, '[') + std::string(depth, ']') + "\n";
  };
  CHECK(problem(nested(31)).empty());
  CHECK(problem(nested(32)) == "t:1: nested more than 32 levels deep");
  CHECK(problem("a: &x " + std::string(20, '[') + std::string(20, ']') +
                "\nb: " + std::string(20, '[') + "*x" + std::string(20, ']') + "\n") ==
        "t:2: nested more than 32 levels deep");
}

TEST_CASE("a file may have a mebibyte") {
  const std::string line = "# " + std::string(97, 'x') + "\n";
  std::string yaml = "a: b\n";
  while (yaml.size() + line.size() <= kYamlBytesMax) {
    yaml += line;
  }
  CHECK(problem(yaml).empty());
  CHECK(problem(yaml + line) == "t: larger than 1MiB: is this the right file?");
}

}  // namespace
}  // namespace headgate::config
