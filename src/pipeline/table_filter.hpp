// Which tables a pipeline captures: the `tables` list of the configuration.

#pragma once

#include <string>
#include <vector>

#include "core/schema.hpp"

namespace headgate {

// Patterns `schema.table`, with `*` for any run of characters in either part, `!` in front to leave
// out again; the last pattern that matches decides. Tables of our own (headgate_*) never match.
class TableFilter {
 public:
  explicit TableFilter(std::vector<std::string> patterns);

  bool matches(const TableName& table) const;

  // The patterns without `*` and `!`: tables that the user named one by one, and so must exist.
  std::vector<TableName> named() const;

  const std::vector<std::string>& patterns() const { return patterns_; }

 private:
  struct Pattern {
    bool excludes;
    std::string schema;
    std::string table;
  };

  std::vector<std::string> patterns_;
  std::vector<Pattern> parsed_;
};

}  // namespace headgate
