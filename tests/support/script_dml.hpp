// Statements that change rows, for a generated script.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "support/script_random.hpp"
#include "support/script_table.hpp"

namespace headgate::test {

// Writes statements over one set of tables, whose numbers it takes. The rows that a statement
// changes depend on the rows' values only, never on where the server keeps them.
//
// A statement may fail where keys meet.
class ScriptDml {
 public:
  // Both must outlive it. `copy_file`: what COPY may use at the server, on its way from one table
  // to another.
  ScriptDml(std::vector<ScriptTable>& tables, ScriptRandom& random, std::string copy_file)
      : tables_(tables), random_(random), copy_file_(std::move(copy_file)) {}

  // Any statement, or a few that belong together, over table `table`; at most 2,000 rows.
  std::string any(std::size_t table);

  std::string insert(std::size_t table, std::int64_t rows);

 private:
  std::string copy(ScriptTable& table);
  std::string upsert(ScriptTable& table);
  std::string merge(ScriptTable& table);
  std::string update(const ScriptTable& table);
  std::string update_keys(ScriptTable& table);
  std::string swap_keys(ScriptTable& table);
  std::string swap_columns(const ScriptTable& table);
  std::string erase(const ScriptTable& table);
  std::string truncate(std::size_t table);
  bool may_be_emptied(std::size_t table) const;

  std::vector<std::size_t> some_columns(const ScriptTable& table);
  std::vector<std::size_t> written_columns(const ScriptTable& table);
  std::vector<std::string> values(const ScriptTable& table, const std::vector<std::size_t>& columns,
                                  const std::string& number);
  std::string value(const ScriptColumn& column);
  std::string assignments(const ScriptTable& table, const std::vector<std::size_t>& columns);
  std::string some_rows(const ScriptTable& table, std::int64_t most, std::int64_t first_number);
  std::int64_t row_count() { return random_.magnitude(random_.chance(4) ? 2000 : 150); }

  std::vector<ScriptTable>& tables_;
  ScriptRandom& random_;
  std::string copy_file_;
};

}  // namespace headgate::test
