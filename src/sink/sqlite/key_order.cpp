#include "sink/sqlite/key_order.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace headgate::sink::sqlite {
namespace {

// The leading key column decoded once, since a comparison that parses would cost more than it
// saves.
struct Entry {
  std::int64_t number;
  Row row;
};

std::int64_t leading_number(const Column& column, const Value& value) {
  if (column.family != TypeFamily::kInteger || value.kind != ValueKind::kText) {
    return 0;  // the bytes decide: right for text, near enough for big-endian integers
  }
  std::int64_t number = 0;
  std::from_chars(value.data, value.data + value.size, number);
  return number;
}

bool key_before(const TableSchema& output, const Entry& a, const Entry& b) {
  if (a.number != b.number) {
    return a.number < b.number;
  }
  for (const std::size_t column : output.key) {
    const int order = a.row[column].bytes().compare(b.row[column].bytes());
    if (order != 0) {
      return order < 0;
    }
  }
  return false;
}

}  // namespace

void sort_by_key(std::vector<Row>& rows, const TableSchema& output) {
  const std::size_t leading = output.key.front();
  std::vector<Entry> entries;
  entries.reserve(rows.size());
  for (const Row row : rows) {
    entries.push_back({leading_number(output.columns[leading], row[leading]), row});
  }
  const auto before = [&](const Entry& a, const Entry& b) { return key_before(output, a, b); };
  if (std::is_sorted(entries.begin(), entries.end(), before)) {
    return;
  }
  std::sort(entries.begin(), entries.end(), before);
  std::transform(entries.begin(), entries.end(), rows.begin(),
                 [](const Entry& entry) { return entry.row; });
}

}  // namespace headgate::sink::sqlite
