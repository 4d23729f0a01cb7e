#include "gate/table_marks.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"

namespace headgate {

TableMarks::TableMarks(const std::set<TableName>& tables) {
  for (const TableName& table : tables) {
    marks_.emplace(table, Mark{});
  }
}

void TableMarks::add(const TableName& table, const LSN& captured_from) {
  const bool added = marks_.emplace(table, Mark{captured_from, std::nullopt}).second;
  HEADGATE_CHECK(added, "a table is captured once");
  find_slowest();
}

void TableMarks::advance(const TableName& table, WallTime commit_time, const LSN& read_to) {
  Mark& mark = at(table);
  HEADGATE_CHECK(mark.read_to <= read_to, "the mark of a table never moves back");
  mark.read_to = read_to;
  mark.see(commit_time);
  find_slowest();
}

void TableMarks::advance_time(const TableName& table, WallTime commit_time) {
  at(table).see(commit_time);
  find_slowest();
}

void TableMarks::advance_all(WallTime commit_time, const LSN& read_to) {
  for (auto& [table, mark] : marks_) {
    mark.read_to = std::max(mark.read_to, read_to);
    mark.see(commit_time);
  }
  find_slowest();
}

std::vector<TableName> TableMarks::behind(const LSN& commit_lsn) const {
  std::vector<TableName> tables;
  for (const auto& [table, mark] : marks_) {
    if (mark.read_to < commit_lsn) {
      tables.push_back(table);
    }
  }
  return tables;
}

TableMarks::Mark& TableMarks::at(const TableName& table) {
  const auto found = marks_.find(table);
  HEADGATE_CHECK(found != marks_.end(), "the gate knows every captured table");
  return found->second;
}

const TableMarks::Mark& TableMarks::at(const TableName& table) const {
  const auto found = marks_.find(table);
  HEADGATE_CHECK(found != marks_.end(), "the gate knows every captured table");
  return found->second;
}

void TableMarks::find_slowest() {
  all_read_to_ = marks_.empty() ? LSN{} : marks_.begin()->second.read_to;
  all_commit_time_ = marks_.empty() ? std::nullopt : marks_.begin()->second.commit_time;
  for (const auto& [table, mark] : marks_) {
    all_read_to_ = broken(Break::kOpenGateEarly) ? std::max(all_read_to_, mark.read_to)
                                                 : LSN::min(all_read_to_, mark.read_to);
    // nullopt is less than any time: one table without a time leaves none for all.
    all_commit_time_ = std::min(all_commit_time_, mark.commit_time);
  }
}

}  // namespace headgate
