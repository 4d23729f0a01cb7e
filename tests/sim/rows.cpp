#include "rows.hpp"

#include <fmt/format.h>

namespace headgate::sim {
namespace {

TableSchemaPtr make_schema(std::uint32_t id, const std::string& name,
                           const std::vector<std::string>& columns, std::vector<std::size_t> key) {
  auto schema = std::make_shared<TableSchema>();
  schema->name = {"app", name};
  schema->source_id = id;
  for (const std::string& column : columns) {
    Column& added = schema->columns.emplace_back();
    added.name = column;
    added.source_id = static_cast<std::uint32_t>(schema->columns.size());
    added.family = TypeFamily::kText;
  }
  for (const std::size_t column : key) {
    schema->columns[column].identity = true;
  }
  schema->key = std::move(key);
  return schema;
}

template <typename Rows>
std::string first_difference(const std::string& table, const Rows& found, const Rows& expected) {
  for (const auto& [key, row] : expected) {
    const auto at = found.find(key);
    if (at == found.end()) {
      return fmt::format("{}: {} is missing", table, to_string(key));
    }
    if (at->second != row) {
      if constexpr (std::is_same_v<Rows, std::map<Record, Record>>) {
        return fmt::format("{}: {} is there instead of {}", table, to_string(at->second),
                           to_string(row));
      } else {
        return fmt::format("{}: {} is there {} times instead of {}", table, to_string(key),
                           at->second, row);
      }
    }
  }
  for (const auto& [key, row] : found) {
    if (expected.count(key) == 0) {
      return fmt::format("{}: {} is one too many", table, to_string(key));
    }
  }
  return {};
}

}  // namespace

const std::array<TableSchemaPtr, kTables>& schemas() {
  static const std::array<TableSchemaPtr, kTables> tables{
      make_schema(1, "accounts", {"id", "owner", "notes"}, {0}),
      make_schema(2, "items", {"order", "line", "what"}, {0, 1}),
      make_schema(3, "journal", {"what", "amount"}, {})};
  return tables;
}

std::size_t table_of(const TableName& name) {
  std::size_t table = 0;
  while (table < kTables && schemas()[table]->name != name) {
    ++table;
  }
  return table;
}

Record key_of(std::size_t table, const Record& row) {
  Record key;
  for (const std::size_t column : schemas()[table]->key) {
    key.push_back(row[column]);
  }
  return key;
}

Record key_record(const std::vector<std::string>& values) {
  Record key;
  for (const std::string& value : values) {
    key.push_back(text(value));
  }
  return key;
}

State::State() {
  for (auto& table : tables_) {
    table = std::make_shared<TableRows>();
  }
  schemas_ = schemas();
}

void State::reshape(std::size_t table, const Reshape& how) {
  const auto reshaped = [&](Record row) {
    for (const std::size_t place : how.dropped) {
      row.erase(row.begin() + static_cast<std::ptrdiff_t>(place));
    }
    row.insert(row.end(), how.appended.begin(), how.appended.end());
    return row;
  };
  TableRows rows;
  for (const auto& [key, row] : tables_[table]->by_key) {
    rows.by_key[key] = reshaped(row);
  }
  for (const auto& [row, count] : tables_[table]->counts) {
    rows.counts[reshaped(row)] += count;
  }
  tables_[table] = std::make_shared<TableRows>(std::move(rows));
}

TableRows& State::edit(std::size_t table) {
  if (tables_[table].use_count() > 1) {
    tables_[table] = std::make_shared<TableRows>(*tables_[table]);
  }
  return *tables_[table];
}

void State::drop(std::size_t table) {
  tables_[table] = std::make_shared<TableRows>();
  gone_[table] = true;
}

std::string difference(std::size_t table, const TableRows& found, const TableRows& expected) {
  if (found == expected) {
    return {};
  }
  const std::string& name = schemas()[table]->name.table;
  const std::string keyed = first_difference(name, found.by_key, expected.by_key);
  return keyed.empty() ? first_difference(name, found.counts, expected.counts) : keyed;
}

std::string to_string(const Record& row) {
  std::string text = "(";
  for (const Cell& cell : row) {
    text += text.size() > 1 ? ", " : "";
    switch (cell.kind) {
      case ValueKind::kNull:
        text += "NULL";
        break;
      case ValueKind::kUnchanged:
        text += "unchanged";
        break;
      default:
        text += cell.text.size() > 12 ? cell.text.substr(0, 12) + "…" : cell.text;
    }
  }
  return text + ")";
}

std::vector<std::string> names_of(const TableSchema& schema) {
  std::vector<std::string> names;
  for (const Column& column : schema.columns) {
    names.push_back(column.name);
  }
  return names;
}

void append(Transaction& transaction, const RowChange& change) {
  const auto row_of = [&](const Record& record) -> Row {
    std::vector<Value> values;
    values.reserve(record.size());
    for (const Cell& cell : record) {
      switch (cell.kind) {
        case ValueKind::kNull:
          values.push_back(Value::null());
          break;
        case ValueKind::kUnchanged:
          values.push_back(Value::unchanged());
          break;
        default:
          values.push_back(Value::text(cell.text));
      }
    }
    return transaction.copy_row(values);
  };
  const Row before = change.before.empty() ? Row{} : row_of(change.before);
  const Row data = change.data.empty() ? Row{} : row_of(change.data);
  Change& added = transaction.add_change(change.schema, change.operation, data, before);
  added.key_only = change.key_only;
}

Record record_of(Row row) {
  Record record;
  record.reserve(row.size());
  for (const Value& value : row) {
    record.push_back({value.kind, std::string(value.bytes())});
  }
  return record;
}

}  // namespace headgate::sim
