// Statements that alter a table, for a generated script: what `schema_changes: apply` carries over
// by itself.

#pragma once

#include <functional>
#include <string>

#include "support/script_random.hpp"
#include "support/script_table.hpp"

namespace headgate::test {

class ScriptDdl {
 public:
  // `random` must outlive it.
  explicit ScriptDdl(ScriptRandom& random) : random_(random) {}

  // One or a few statements, which must be run in one transaction; `table` is then as they leave
  // it. Empty when the one that was chosen does not fit the table.
  std::string any(ScriptTable& table);

 private:
  std::string add_column(ScriptTable& table);
  std::string change_columns(ScriptTable& table);
  std::string drop_column(ScriptTable& table);
  std::string rename_column(ScriptTable& table);
  std::string rename_in_circle(ScriptTable& table);
  std::string widen(ScriptTable& table);
  std::string set_not_null(ScriptTable& table);
  std::string set_default(ScriptTable& table);
  std::string extend_key(ScriptTable& table);
  std::string replace_key(ScriptTable& table);
  std::string change_identity(ScriptTable& table);
  std::string rename_table(ScriptTable& table);
  std::string alter_partitions(ScriptTable& table);
  std::string create_index(ScriptTable& table);

  std::string new_primary_key(ScriptTable& table, bool had_one);
  // A column that may be dropped or altered, and for which `fits`; null when there is none.
  ScriptColumn* free_column(ScriptTable& table,
                            const std::function<bool(const ScriptColumn&)>& fits);
  std::string new_name(const std::string& word) { return odd_name(word, ++names_, random_); }

  ScriptRandom& random_;
  int names_ = 1000;  // beyond those of the first tables
};

}  // namespace headgate::test
