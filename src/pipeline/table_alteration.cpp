#include "pipeline/table_alteration.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace headgate {
namespace {

using Places = std::vector<std::optional<std::size_t>>;

constexpr std::string_view kUncertain =
    "the source cannot say any more which of its columns are the same as before";

bool has_unknown(const std::vector<Column>& columns) {
  return std::any_of(columns.begin(), columns.end(),
                     [](const Column& column) { return column.source_id == 0; });
}

// The key's columns are the same ones in the same order, whatever they are called.
bool same_key(const TableSchema& before, const TableSchema& now, const Places& places) {
  return std::equal(
      before.key.begin(), before.key.end(), now.key.begin(), now.key.end(),
      [&](std::size_t old_place, std::size_t place) { return places[old_place] == place; });
}

std::uint32_t newest_id(const std::vector<Column>& columns) {
  std::uint32_t newest = 0;
  for (const Column& column : columns) {
    newest = std::max(newest, column.source_id);
  }
  return newest;
}

// Why the pairs of columns may be wrong. Guessed wrongly, a column's values would be lost or stand
// in another one.
std::string doubt_of(const TableSchema& before, const TableSchema& now, const Places& places,
                     const TableAlteration& alteration) {
  // Columns went and others came, and some of them may be the same.
  if (!alteration.dropped.empty() && !alteration.added.empty() &&
      (has_unknown(before.columns) || has_unknown(now.columns))) {
    return std::string(kUncertain);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Column& old = before.columns[i];
    // Known so far, and not now: the name may have gone to another column.
    if (places[i] && old.source_id != 0 && now.columns[*places[i]].source_id == 0) {
      return fmt::format("the source cannot say whether column {} is still the same", old.name);
    }
  }
  const std::uint32_t newest = newest_id(before.columns);
  for (const std::size_t place : alteration.added) {
    const Column& column = now.columns[place];
    // Ids only grow: this one was there before, among what was not sent (a column list).
    if (column.source_id != 0 && column.source_id < newest) {
      return fmt::format(
          "column {} was in the table before, and what its rows have there was not sent",
          column.name);
    }
    // A description from before and one from after look the same, so that the source may have told
    // the new column too early.
    for (std::size_t i = 0; i < places.size(); ++i) {
      const Column& old = before.columns[i];
      if (!places[i] && old.name == column.name && old.native_type == column.native_type) {
        return fmt::format(
            "column {} was dropped and added again, and the rows before and after that look the "
            "same in the source's log",
            column.name);
      }
    }
  }
  return {};
}

}  // namespace

Places pair_columns(const TableSchema& before, const TableSchema& now) {
  Places places(before.columns.size());
  std::vector<bool> taken(now.columns.size());
  const auto pair = [&](const auto& is_same) {
    for (std::size_t i = 0; i < places.size(); ++i) {
      for (std::size_t j = 0; !places[i] && j < taken.size(); ++j) {
        if (!taken[j] && is_same(before.columns[i], now.columns[j])) {
          places[i] = j;
          taken[j] = true;
        }
      }
    }
  };
  pair([](const Column& a, const Column& b) {
    return a.source_id != 0 && a.source_id == b.source_id;
  });
  // What has an id cannot be another column that has one.
  pair([](const Column& a, const Column& b) {
    return (a.source_id == 0 || b.source_id == 0) && a.name == b.name;
  });
  return places;
}

TableAlteration compare(const TableRecord& before, const SinkConfig& now) {
  TableAlteration alteration;
  alteration.table_renamed = before.target != now.output.name;
  const std::vector<Column>& columns = now.output.columns;
  const Places places = pair_columns(before.source, now.output);
  std::vector<const Column*> old_of(columns.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i]) {
      old_of[*places[i]] = &before.source.columns[i];
    } else {
      alteration.dropped.push_back(before.source.columns[i].name);
    }
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Column* old = old_of[i];
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
  alteration.key_changed = !same_key(before.source, now.output, places);
  alteration.doubt = doubt_of(before.source, now.output, places, alteration);
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
  return words.empty() ? "perhaps in its columns" : fmt::format("{}", fmt::join(words, ", "));
}

void TableAlteration::forget_done(const SinkConfig& now,
                                  const std::function<bool(const std::string&)>& has_column,
                                  const NameForm& form) {
  const auto name = [&](std::size_t column) { return now.output.columns[column].name; };
  std::set<std::string> leaving;  // names that are to go, perhaps to another column
  bool begun = false;
  const auto leaves = [&](const std::string& column) {
    leaving.insert(form(column));
    begun = begun || !has_column(column);
  };
  std::for_each(dropped.begin(), dropped.end(), leaves);
  for (const Renamed& rename : renamed) {
    leaves(rename.from);
  }
  std::set<std::string> reached;  // names that somebody has given already
  if (begun) {
    const auto& columns = now.output.columns;
    const bool done = std::all_of(columns.begin(), columns.end(),
                                  [&](const Column& column) { return has_column(column.name); });
    std::erase_if(renamed, [&](const Renamed& rename) {
      const std::string& to = name(rename.column);
      if (!done && (has_column(rename.from) || !has_column(to))) {
        return false;
      }
      reached.insert(form(to));
      return true;
    });
    for (const std::size_t column : added) {
      if (done) {
        reached.insert(form(name(column)));
      }
    }
    std::erase_if(dropped, [&](const std::string& column) {
      return !has_column(column) || reached.contains(form(column));
    });
  }
  std::erase_if(added, [&](std::size_t column) {
    const std::string its_form = form(name(column));
    if (!has_column(name(column)) || (leaving.contains(its_form) && !reached.contains(its_form))) {
      return false;
    }
    present.push_back(column);
    return true;
  });
}

std::vector<std::pair<std::string, std::string>> TableAlteration::rename_steps(
    const SinkConfig& now, const NameForm& form) const {
  std::vector<std::pair<std::string, std::string>> waiting;
  std::set<std::string> names;
  for (const Column& column : now.output.columns) {
    names.insert(form(column.name));
  }
  for (const Renamed& rename : renamed) {
    waiting.emplace_back(rename.from, now.output.columns[rename.column].name);
    names.insert(form(rename.from));
  }
  std::vector<std::pair<std::string, std::string>> steps;
  std::size_t asides = 0;
  while (!waiting.empty()) {
    const auto free = std::find_if(waiting.begin(), waiting.end(), [&](const auto& step) {
      return std::none_of(waiting.begin(), waiting.end(), [&](const auto& other) {
        return &other != &step && form(other.first) == form(step.second);
      });
    });
    if (free != waiting.end()) {
      steps.push_back(*free);
      waiting.erase(free);
      continue;
    }
    // A circle: its first column steps aside.
    std::string aside;
    do {
      aside = "headgate_" + std::to_string(asides++);
    } while (names.contains(aside));
    steps.emplace_back(waiting.front().first, aside);
    waiting.front().first = std::move(aside);
  }
  return steps;
}

}  // namespace headgate
