// A full comparison of a source with one of its mirrors: every table, every row, every value.
//
// For the demo and the tests, at a moment when nothing changes. It shares no code with what writes
// the mirror, so that it cannot share its mistakes.

#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace headgate::demo {

struct SqliteMirror {
  std::string path;
};

struct PostgresMirror {
  std::string conninfo;
  std::string schema;  // of all tables; empty: each table's own
};

class RowSource;
struct ComparedTable;

using Mirror = std::variant<SqliteMirror, PostgresMirror>;

struct Difference {
  enum class Kind { kTableMissing, kColumns, kRowMissing, kRowExtra, kRowDiffers };
  Kind kind = Kind::kRowDiffers;
  std::string table;
  std::string key;                   // "order_id=7, line_no=2"; the whole row without a key
  std::vector<std::string> columns;  // that differ, or that only one side has

  // One line; with values, so it is not for a log.
  std::string text;
};

struct TableComparison {
  std::string table;
  std::uint64_t source_rows = 0;
  std::uint64_t mirror_rows = 0;
  std::uint64_t differences = 0;
};

struct Comparison {
  std::vector<TableComparison> tables;
  std::vector<Difference> first;  // at most CompareOptions::differences_max

  bool equal() const;
  std::uint64_t rows() const;  // of the source
  // Some lines for people: the first differences, and the counts of the tables that differ.
  std::string report() const;
};

struct CompareOptions {
  std::string source_conninfo;
  std::vector<std::string> tables{};  // `schema.table`
  Mirror mirror{};
  std::size_t differences_max = 20;
};

// Each side is read in one transaction. Memory does not grow with the tables; the databases sort.
//
// Throws PgError or Error when a side cannot be read, Error{kOperator} when the source has no such
// table.
Comparison compare(const CompareOptions& options);

// The same of two sides that are opened already (row_stream.hpp).
Comparison compare(const std::vector<ComparedTable>& tables, RowSource& source, RowSource& mirror,
                   std::size_t differences_max = 20);

}  // namespace headgate::demo
