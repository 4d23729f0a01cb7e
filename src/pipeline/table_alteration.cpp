#include "pipeline/table_alteration.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace headgate {
namespace {

bool same_column(const Column& before, const Column& now) {
  const bool known = before.source_id != 0 && now.source_id != 0;
  return known ? before.source_id == now.source_id : before.name == now.name;
}

const Column* find_same(const std::vector<Column>& columns, const Column& wanted) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
    return same_column(column, wanted);
  });
  return found == columns.end() ? nullptr : &*found;
}

bool has_unknown(const std::vector<Column>& columns) {
  return std::any_of(columns.begin(), columns.end(),
                     [](const Column& column) { return column.source_id == 0; });
}

// The key's columns are the same ones in the same order, whatever they are called.
bool same_key(const TableSchema& before, const TableSchema& now) {
  return std::equal(before.key.begin(), before.key.end(), now.key.begin(), now.key.end(),
                    [&](std::size_t old_place, std::size_t place) {
                      return same_column(before.columns[old_place], now.columns[place]);
                    });
}

}  // namespace

std::optional<std::size_t> place_of(const Column& column, const TableSchema& schema) {
  const Column* found = find_same(schema.columns, column);
  if (found == nullptr) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - schema.columns.data());
}

TableAlteration compare(const TableRecord& before, const SinkConfig& now) {
  TableAlteration alteration;
  alteration.table_renamed = before.target != now.output.name;
  const std::vector<Column>& columns = now.output.columns;
  for (const Column& column : before.source.columns) {
    if (find_same(columns, column) == nullptr) {
      alteration.dropped.push_back(column.name);
    }
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column* old = find_same(before.source.columns, columns[i]);
    if (old == nullptr) {
      alteration.added.push_back(i);
      continue;
    }
    if (old->name != columns[i].name) {
      alteration.renamed.push_back({old->name, i});
    }
    if (old->native_type != columns[i].native_type) {
      alteration.retyped.push_back({*old, i});
    }
  }
  alteration.key_changed = !same_key(before.source, now.output);
  alteration.ambiguous = !alteration.dropped.empty() && !alteration.added.empty() &&
                         (has_unknown(before.source.columns) || has_unknown(columns));
  return alteration;
}

std::string TableAlteration::describe(const SinkConfig& now) const {
  const auto& columns = now.output.columns;
  std::vector<std::string> words;
  if (table_renamed) {
    words.push_back("renamed to " + now.source.to_string());
  }
  for (const std::string& name : dropped) {
    words.push_back(fmt::format("column {} dropped", name));
  }
  for (const Renamed& rename : renamed) {
    words.push_back(
        fmt::format("column {} renamed to {}", rename.from, columns[rename.column].name));
  }
  for (const Retyped& retype : retyped) {
    words.push_back(fmt::format("column {} changed from {} to {}", columns[retype.column].name,
                                retype.from.native_type, columns[retype.column].native_type));
  }
  for (const std::size_t column : added) {
    words.push_back(
        fmt::format("column {} {} added", columns[column].name, columns[column].native_type));
  }
  if (key_changed) {
    words.push_back(now.output.key.empty()
                        ? std::string("key dropped")
                        : fmt::format("key changed to ({})", fmt::join(now.primary_key(), ", ")));
  }
  return fmt::format("{}", fmt::join(words, ", "));
}

void TableAlteration::forget_done(const SinkConfig& now,
                                  const std::function<bool(const std::string&)>& has_column) {
  const auto name = [&](std::size_t column) { return now.output.columns[column].name; };
  std::erase_if(renamed, [&](const Renamed& rename) {
    return !has_column(rename.from) && has_column(name(rename.column));
  });
  std::erase_if(dropped, [&](const std::string& column) { return !has_column(column); });
  std::erase_if(added, [&](std::size_t column) {
    const bool of_dropped =
        std::find(dropped.begin(), dropped.end(), name(column)) != dropped.end();
    const bool of_renamed = std::any_of(renamed.begin(), renamed.end(), [&](const Renamed& rename) {
      return rename.from == name(column);
    });
    return has_column(name(column)) && !of_dropped && !of_renamed;
  });
}

std::vector<std::pair<std::string, std::string>> TableAlteration::rename_steps(
    const SinkConfig& now) const {
  std::vector<std::pair<std::string, std::string>> waiting;
  for (const Renamed& rename : renamed) {
    waiting.emplace_back(rename.from, now.output.columns[rename.column].name);
  }
  std::vector<std::pair<std::string, std::string>> steps;
  while (!waiting.empty()) {
    const auto free = std::find_if(waiting.begin(), waiting.end(), [&](const auto& step) {
      return std::none_of(waiting.begin(), waiting.end(),
                          [&](const auto& other) { return other.first == step.second; });
    });
    if (free != waiting.end()) {
      steps.push_back(*free);
      waiting.erase(free);
      continue;
    }
    // A circle: its first column steps aside.
    std::string aside = "headgate_" + std::to_string(steps.size());
    steps.emplace_back(waiting.front().first, aside);
    waiting.front().first = std::move(aside);
  }
  return steps;
}

}  // namespace headgate
