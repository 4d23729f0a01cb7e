#include "source/sqlserver/succession.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "source/sqlserver/change_key.hpp"

namespace headgate::source::sqlserver {
namespace {

// Of a statement, in lower case: identifiers without their quotes, and single characters. Comments
// and texts are left out.
struct Token {
  std::string text;
  bool word = false;
  bool delimited = false;  // "…" or […]
};

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '@' || c == '#' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// Appends a piece that ends at `end`, doubled where it belongs to the piece. Returns what follows
// it.
std::size_t read_delimited(std::string_view sql, std::size_t at, char end, std::string& into) {
  for (; at < sql.size(); ++at) {
    if (sql[at] != end) {
      into += sql[at];
    } else if (at + 1 < sql.size() && sql[at + 1] == end) {
      into += sql[at++];
    } else {
      return at + 1;
    }
  }
  return at;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<Token> tokens_of(const std::string& statement) {
  const std::string sql = lower(statement);
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < sql.size();) {
    const char c = sql[at];
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
    } else if (sql.compare(at, 2, "--") == 0) {
      at = std::min(sql.find('\n', at), sql.size());
    } else if (sql.compare(at, 2, "/*") == 0) {
      const std::size_t end = sql.find("*/", at);
      at = end == std::string::npos ? sql.size() : end + 2;
    } else if (c == '\'') {
      std::string dropped;
      at = read_delimited(sql, at + 1, '\'', dropped);
      tokens.push_back({"'", false, false});
    } else if (c == '[' || c == '"') {
      Token& name = tokens.emplace_back();
      name.word = name.delimited = true;
      at = read_delimited(sql, at + 1, c == '[' ? ']' : '"', name.text);
    } else if (is_word_character(c)) {
      Token& word = tokens.emplace_back();
      word.word = true;
      while (at < sql.size() && is_word_character(sql[at])) {
        word.text += sql[at++];
      }
    } else {
      tokens.push_back({std::string(1, c), false, false});
      ++at;
    }
  }
  return tokens;
}

bool is_keyword(const Token& token, std::string_view keyword) {
  return token.word && !token.delimited && token.text == keyword;
}

bool is_step_back(const CaptureInstance& instance, const FollowedTable::Held& held) {
  return instance.change_table != held.change_table && !held.create_date.empty() &&
         instance.create_date < held.create_date &&
         !std::all_of(held.columns.begin(), held.columns.end(),
                      [&](std::uint32_t id) { return instance.column(id) != nullptr; });
}

bool is_step_back(const CaptureInstance& instance, const FollowedTable& table,
                  const LSN& position) {
  return std::any_of(table.held.begin(), table.held.end(), [&](const FollowedTable::Held& held) {
    return held.reached <= position && is_step_back(instance, held);
  });
}

}  // namespace

std::string to_note(const InstanceNote& note) {
  return fmt::format("{} {} {}", note.change_table, note.since.to_hex(), note.create_date);
}

std::optional<InstanceNote> parse_note(const std::string& note) {
  InstanceNote parsed;
  const char* end = note.data() + note.size();
  const auto [stop, failure] = std::from_chars(note.data(), end, parsed.change_table);
  if (failure != std::errc{} || stop == end) {
    return std::nullopt;
  }
  const std::string_view rest(stop + 1, static_cast<std::size_t>(end - stop - 1));
  const std::size_t blank = rest.find(' ');
  parsed.since = LSN::parse(rest.substr(0, blank));
  if (blank != std::string_view::npos) {
    parsed.create_date = rest.substr(blank + 1);
  }
  return parsed;
}

LSN first_needed(const FollowedTable& table, const LSN& position) {
  const LSN next = increment(position);
  return table.since && next < *table.since ? *table.since : next;
}

bool reaches_back(const std::optional<LSN>& start_lsn, const LSN& needed) {
  return start_lsn && *start_lsn <= needed;
}

std::optional<InstanceChoice> choose_instance(const CaptureInstances& instances,
                                              const FollowedTable& table, const LSN& position) {
  const LSN needed = first_needed(table, position);
  std::optional<InstanceChoice> choice;
  for (std::size_t i = instances.size(); i-- > 0 && !choice;) {
    // One that was enabled just now, of a table that we do not know, has no start and no rows yet.
    const bool newborn = !instances[i].start_lsn && !table.since;
    if ((newborn || reaches_back(instances[i].start_lsn, needed)) &&
        !is_step_back(instances[i], table, position)) {
      choice = InstanceChoice{i, std::nullopt};
    }
  }
  if (!choice) {
    return std::nullopt;
  }
  for (std::size_t i = choice->place + 1; i < instances.size(); ++i) {
    if (instances[i].start_lsn && needed < *instances[i].start_lsn) {
      const LSN before = decrement(*instances[i].start_lsn);
      choice->to = choice->to ? LSN::min(*choice->to, before) : before;
    }
  }
  return choice;
}

TableSchemaPtr schema_of(const CaptureInstance& instance, const std::optional<LSN>& since,
                         const std::vector<std::uint32_t>& null_before) {
  auto schema = std::make_shared<TableSchema>();
  schema->name = instance.table;
  schema->source_id = static_cast<std::uint32_t>(instance.source_table);
  if (since) {
    schema->source_note = to_note({instance.change_table, *since, instance.create_date});
  }
  for (const CapturedColumn& captured : instance.columns) {
    Column column;
    column.name = captured.name;
    column.source_id = captured.column_id;
    column.family = captured.mapping.family;
    column.native_type = captured.mapping.postgres_type;
    column.type_oid = captured.mapping.postgres_oid;
    const bool null =
        std::find(null_before.begin(), null_before.end(), captured.column_id) != null_before.end();
    column.fill.kind = null ? ColumnFill::Kind::kNull : ColumnFill::Kind::kUnknown;
    schema->columns.push_back(std::move(column));
  }
  for (const std::size_t place : instance.key) {
    schema->columns[place].identity = true;
    schema->columns[place].nullable = false;
    schema->key.push_back(place);
  }
  return schema;
}

bool mentions(const std::string& ddl, const std::string& column) {
  const std::vector<Token> tokens = tokens_of(ddl);
  const std::string wanted = lower(column);
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](const Token& token) { return token.word && token.text == wanted; });
}

// ALTER TABLE name ADD column type …, column type …: nothing in it may give rows a value.
bool adds_null_column(const std::string& ddl, const std::string& column) {
  const std::vector<Token> tokens = tokens_of(ddl);
  const std::string wanted = lower(column);
  constexpr std::string_view kDoubtful[] = {"default",    "values",     "identity", "as",
                                            "constraint", "rowversion", "drop",     "not",
                                            "timestamp",  "generated",  "period",   "rowguidcol"};
  const bool doubtful = std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
    return std::any_of(std::begin(kDoubtful), std::end(kDoubtful),
                       [&](std::string_view word) { return is_keyword(token, word); });
  });
  if (doubtful || tokens.size() < 2 || !is_keyword(tokens[0], "alter") ||
      !is_keyword(tokens[1], "table")) {
    return false;
  }
  const auto add = std::find_if(tokens.begin(), tokens.end(),
                                [](const Token& token) { return is_keyword(token, "add"); });
  int depth = 0;
  bool name_follows = true;
  for (auto token = add == tokens.end() ? add : add + 1; token != tokens.end(); ++token) {
    if (name_follows && token->word && token->text == wanted) {
      return true;
    }
    name_follows = depth == 0 && token->text == "," && !token->word;
    depth += token->text == "(" ? 1 : token->text == ")" ? -1 : 0;
  }
  return false;
}

std::vector<std::string> uncaptured_columns(const CaptureInstance& newest) {
  std::vector<std::string> names;
  for (const SourceColumn& column : newest.source_columns) {
    // Ids only grow. An older one that is not captured was left out by whoever made the instance.
    if (newest.newest_column < column.column_id) {
      names.push_back(column.name);
    }
  }
  return names;
}

std::string enable_next_instance(const CaptureInstance& newest, const CaptureInstances& all) {
  const auto taken = [&](const std::string& name) {
    return std::any_of(all.begin(), all.end(), [&](const CaptureInstance& other) {
      return lower(other.name) == lower(name);
    });
  };
  // The server takes 100 characters, of which some may be of several bytes here.
  constexpr std::size_t kStemMax = 90;
  std::string stem = newest.table.schema + "_" + newest.table.table;
  std::size_t end = std::min(stem.size(), kStemMax);
  while (end > 0 && end < stem.size() && (static_cast<unsigned char>(stem[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  stem.resize(end);
  int number = 2;
  std::string name = stem + "_2";
  while (taken(name)) {
    name = fmt::format("{}_{}", stem, ++number);
  }
  return fmt::format(
      "EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}, @capture_instance = "
      "{}, "
      "@role_name = {}{}{};",
      literal(newest.table.schema), literal(newest.table.table), literal(name),
      newest.role_name.empty() ? "NULL" : literal(newest.role_name),
      newest.index_name.empty() ? "" : ", @index_name = " + literal(newest.index_name),
      newest.supports_net_changes ? ", @supports_net_changes = 1" : "");
}

std::string disable_instance(const CaptureInstance& instance) {
  return fmt::format(
      "EXEC sys.sp_cdc_disable_table @source_schema = {}, @source_name = {}, @capture_instance = "
      "{};",
      literal(instance.table.schema), literal(instance.table.table), literal(instance.name));
}

}  // namespace headgate::source::sqlserver
