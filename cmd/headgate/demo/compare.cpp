#include "demo/compare.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "demo/pg_session.hpp"
#include "demo/row_stream.hpp"

namespace headgate::demo {

namespace {

std::string shown(const std::optional<std::string>& value) {
  constexpr std::size_t kLongest = 60;
  if (!value) {
    return "NULL";
  }
  return value->size() <= kLongest
             ? fmt::format("'{}'", *value)
             : fmt::format("'{}…' ({} bytes)", value->substr(0, kLongest), value->size());
}

// Merges two ordered streams of one table.
class TableComparer {
 public:
  TableComparer(const ComparedTable& table, Comparison& comparison, std::size_t differences_max)
      : table_(table), comparison_(comparison), differences_max_(differences_max) {
    counts_.table = table.qualified();
  }

  TableComparison run(RowSource& source, RowSource& mirror) {
    const std::vector<std::string> mirror_columns = mirror.columns_of(table_);
    if (mirror_columns.empty()) {
      add(Difference::Kind::kTableMissing, "", {}, "the mirror has no such table");
    } else if (same_columns(mirror_columns)) {
      merge(*source.open(table_), *mirror.open(table_));
    }
    return counts_;
  }

 private:
  bool same_columns(std::vector<std::string> theirs) {
    std::vector<std::string> ours;
    for (const ComparedColumn& column : table_.columns) {
      ours.push_back(column.name);
    }
    std::sort(ours.begin(), ours.end());
    std::sort(theirs.begin(), theirs.end());
    std::vector<std::string> different;
    std::set_symmetric_difference(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                                  std::back_inserter(different));
    if (!different.empty()) {
      add(Difference::Kind::kColumns, "", different, "only one side has these columns");
    }
    return different.empty();
  }

  void merge(RowStream& source, RowStream& mirror) {
    std::optional<TextRow> ours = source.next();
    std::optional<TextRow> theirs = mirror.next();
    while (ours || theirs) {
      const int order = !theirs ? -1 : !ours ? 1 : compare_keys(*ours, *theirs);
      if (order < 0) {
        add(Difference::Kind::kRowMissing, key_of(*ours), {}, "missing in the mirror");
      } else if (order > 0) {
        add(Difference::Kind::kRowExtra, key_of(*theirs), {}, "only in the mirror");
      } else if (*ours != *theirs) {
        add_differing(*ours, *theirs);
      }
      if (order <= 0) {
        ++counts_.source_rows;
        ours = source.next();
      }
      if (order >= 0) {
        ++counts_.mirror_rows;
        theirs = mirror.next();
      }
    }
  }

  int compare_keys(const TextRow& ours, const TextRow& theirs) const {
    for (std::size_t i = 0; i < table_.ordered_columns(); ++i) {
      if (ours[i] != theirs[i]) {
        return ours[i] < theirs[i] ? -1 : 1;  // no value stands before every value
      }
    }
    return 0;
  }

  std::string key_of(const TextRow& row) const {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < table_.ordered_columns(); ++i) {
      parts.push_back(fmt::format("{}={}", table_.columns[i].name, shown(row[i])));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void add_differing(const TextRow& ours, const TextRow& theirs) {
    std::vector<std::string> columns;
    std::vector<std::string> values;
    for (std::size_t i = 0; i < table_.columns.size(); ++i) {
      if (ours[i] != theirs[i]) {
        columns.push_back(table_.columns[i].name);
        values.push_back(fmt::format("{}: source {}, mirror {}", table_.columns[i].name,
                                     shown(ours[i]), shown(theirs[i])));
      }
    }
    add(Difference::Kind::kRowDiffers, key_of(ours), std::move(columns),
        fmt::format("{}", fmt::join(values, "; ")));
  }

  void add(Difference::Kind kind, std::string key, std::vector<std::string> columns,
           const std::string& what) {
    ++counts_.differences;
    if (comparison_.first.size() == differences_max_) {
      return;
    }
    std::string text = counts_.table;
    if (!key.empty()) {
      text += fmt::format(" [{}]", key);
    }
    text += ": " + what;
    if (kind == Difference::Kind::kColumns) {
      text += fmt::format(": {}", fmt::join(columns, ", "));
    }
    comparison_.first.push_back(
        {kind, counts_.table, std::move(key), std::move(columns), std::move(text)});
  }

  const ComparedTable& table_;
  Comparison& comparison_;
  std::size_t differences_max_;
  TableComparison counts_;
};

}  // namespace

bool Comparison::equal() const {
  return std::all_of(tables.begin(), tables.end(),
                     [](const TableComparison& table) { return table.differences == 0; });
}

std::uint64_t Comparison::rows() const {
  std::uint64_t sum = 0;
  for (const TableComparison& table : tables) {
    sum += table.source_rows;
  }
  return sum;
}

std::string Comparison::report() const {
  if (equal()) {
    return fmt::format("{} tables, {} rows: equal\n", tables.size(), rows());
  }
  std::string text;
  for (const TableComparison& table : tables) {
    if (table.differences > 0) {
      text += fmt::format("{}: {} differences; source {} rows, mirror {} rows\n", table.table,
                          table.differences, table.source_rows, table.mirror_rows);
    }
  }
  for (const Difference& difference : first) {
    text += "  " + difference.text + "\n";
  }
  return text;
}

Comparison compare(const CompareOptions& options) {
  PgSession source_session(options.source_conninfo);
  const std::vector<ComparedTable> tables = describe_tables(source_session, options.tables);
  const auto source = postgres_rows(source_session);

  std::optional<PgSession> mirror_session;
  std::unique_ptr<RowSource> mirror;
  if (const auto* file = std::get_if<SqliteMirror>(&options.mirror)) {
    mirror = sqlite_rows(file->path);
  } else {
    const auto& server = std::get<PostgresMirror>(options.mirror);
    mirror_session.emplace(server.conninfo);
    mirror = postgres_rows(*mirror_session, server.schema);
  }

  return compare(tables, *source, *mirror, options.differences_max);
}

Comparison compare(const std::vector<ComparedTable>& tables, RowSource& source, RowSource& mirror,
                   std::size_t differences_max) {
  Comparison comparison;
  for (const ComparedTable& table : tables) {
    comparison.tables.push_back(
        TableComparer(table, comparison, differences_max).run(source, mirror));
  }
  return comparison;
}

}  // namespace headgate::demo
