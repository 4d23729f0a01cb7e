// A table as a generated script believes it to be at the source: what may be written to it, and how
// it may be altered.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/script_random.hpp"

namespace headgate::test {

struct ScriptColumn {
  std::string name;
  std::string type;  // one of value_types()
  bool not_null = false;
  bool has_default = false;
  bool had_default = false;  // when it came, so that older rows hold it

  bool key = false;        // of the key that the table's rows are told apart by
  bool identity = false;   // of the replica identity's index
  bool generated = false;  // never written
  bool pinned = false;     // neither dropped nor retyped: something else depends on it
  // The values are keys of that table of the script (a foreign key).
  std::optional<std::size_t> references{};

  // The sinks may not know of it yet, so that they will look at the catalog as it is then.
  bool fresh = false;

  // A dropped column stood directly before it.
  bool after_gap = false;
};

// One that was detached exists on, empty, and can be attached again.
struct ScriptPartition {
  std::string name;  // in schema `parts`
  std::int64_t from = 0;
  std::int64_t to = 0;
  bool attached = true;
  // Its rows are told apart by all their columns, however those of the table are. (One that is made
  // later is left out here.)
  bool whole_rows = false;
};

struct ScriptTable {
  // What tells the source which row an UPDATE or DELETE means.
  enum class Identity {
    kPrimaryKey,
    kIndex,
    kFull,
    kNothing,  // nothing, whether there is a key or not: rows are only ever added
  };

  std::string name;  // in schema `shop`
  std::vector<ScriptColumn> columns;
  Identity identity = Identity::kPrimaryKey;
  std::string primary_key;                  // the constraint's name; empty: none
  std::string identity_index;               // empty: none
  std::vector<ScriptPartition> partitions;  // by ranges of the first key column; empty: not parted
  bool referenced = false;                  // by a foreign key, so the key stays as it is

  // What has been done to the columns since the sinks last followed. When the daemon is behind, it
  // has the columns' names from the log and their numbers from the catalog as it is by then; after
  // more than this, it rightly asks a person which column is which.
  enum class Changed { kNothing, kOnlyAdded, kOtherwise };
  Changed changed = Changed::kNothing;
  bool gap_at_end = false;  // the last column was dropped

  // Keys below were used; those from here on were not.
  std::int64_t next_number = 1;
  // Values of the key's columns that are no numbers' keys, so that new ones may meet old ones.
  bool mixed_keys = false;

  bool has_key() const;
  bool only_appended() const { return identity == Identity::kNothing; }
  // Rows hold a default that a rewrite of the table would make the source forget.
  bool has_fresh_column() const;
  bool has_fresh_default() const;
  bool has_gap() const;
  // A column that was dropped earlier is the neighbour of this one.
  bool is_beside_gap(const ScriptColumn& column) const;
  std::vector<std::size_t> key_columns() const;
  // Columns whose values can be chosen freely.
  std::vector<std::size_t> plain_columns() const;

  std::string sql_name() const;  // qualified and quoted
};

// Starts numbers for that many rows.
std::int64_t take_numbers(ScriptTable& table, std::int64_t count);

// The values of the key columns for row number `number`, an expression; in their order.
std::vector<std::string> key_values(const ScriptTable& table, const std::string& number);

// Names as careful people would not choose them; `number` makes each a different one, also for a
// database that takes `a` for `A`.
std::string odd_name(const std::string& word, int number, ScriptRandom& random);

// The tables of a script: every kind at least once, with columns chosen by chance. Their foreign
// key names a table that stands before it.
std::vector<ScriptTable> script_tables(ScriptRandom& random);

// CREATE TABLE with indexes, partitions and replica identity.
std::string create_sql(const ScriptTable& table, const std::vector<ScriptTable>& all);

}  // namespace headgate::test
