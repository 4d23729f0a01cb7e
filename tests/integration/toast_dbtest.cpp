// Values that the source keeps out of line and does not send again when an update leaves them
// alone: in every combination with what else happens to their row, by copy and stream, into both
// sinks.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "mirror_scenarios.hpp"

using namespace headgate::test;

namespace {

// Some 5 kB that are kept out of line whatever the storage, since they do not compress: another
// value for each `seed`, which is an SQL expression.
std::string large(const std::string& seed) {
  return "(SELECT string_agg(md5((" + seed +
         ")::text || '/' || i), '') FROM generate_series(1, 150) i)";
}

// Two such columns and two small ones; `identity` follows.
std::string table(const std::string& name, const std::string& more = "") {
  return "CREATE TABLE @." + name +
         " (id integer PRIMARY KEY, a text, small text, b text, n integer);"
         "ALTER TABLE @." +
         name + " ALTER a SET STORAGE EXTERNAL;" + more + "INSERT INTO @." + name + " SELECT k, " +
         large("k") + ", 's', " + large("-k") + ", k FROM generate_series(1, 9) k;";
}

std::string full(const std::string& name) {
  return "ALTER TABLE @." + name + " REPLICA IDENTITY FULL;";
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all{
      {table("kept"),
       {"UPDATE @.kept SET n = n + 1", "UPDATE @.kept SET small = 't' WHERE id < 5",
        "UPDATE @.kept SET small = NULL, n = NULL WHERE id < 3"}},
      {table("one_of_two_changes"),
       {"UPDATE @.one_of_two_changes SET a = " + large("'x' || id") + " WHERE id < 5",
        "UPDATE @.one_of_two_changes SET b = " + large("'y' || id") + " WHERE id IN (1, 6)",
        "UPDATE @.one_of_two_changes SET a = NULL WHERE id = 2",
        "UPDATE @.one_of_two_changes SET b = '', n = 0 WHERE id = 3",
        "UPDATE @.one_of_two_changes SET n = -n"}},
      {table("both_change_in_turn"),
       {"UPDATE @.both_change_in_turn SET a = " + large("'p' || id"),
        "UPDATE @.both_change_in_turn SET b = " + large("'q' || id"),
        "UPDATE @.both_change_in_turn SET a = 'short'",
        "UPDATE @.both_change_in_turn SET n = 77 WHERE id = 4"}},
      {table("inserted_then_updated"),
       {"INSERT INTO @.inserted_then_updated VALUES (50, " + large("50") + ", 's', " + large("51") +
            ", 1)",
        "UPDATE @.inserted_then_updated SET n = 2 WHERE id = 50",
        "UPDATE @.inserted_then_updated SET a = 'x' WHERE id = 50",
        "UPDATE @.inserted_then_updated SET small = 't' WHERE id = 50"}},
      {table("deleted_then_inserted"),
       {"DELETE FROM @.deleted_then_inserted WHERE id = 1",
        "INSERT INTO @.deleted_then_inserted VALUES (1, " + large("100") + ", 's', NULL, 1)",
        "UPDATE @.deleted_then_inserted SET n = 3 WHERE id = 1",
        "DELETE FROM @.deleted_then_inserted WHERE id = 1",
        "INSERT INTO @.deleted_then_inserted VALUES (1, 'a', 's', " + large("101") + ", 1)",
        "UPDATE @.deleted_then_inserted SET n = 4 WHERE id = 1"}},
      {table("key_changes"),
       {"UPDATE @.key_changes SET id = id + 100 WHERE id < 4",
        "UPDATE @.key_changes SET id = id + 100, n = 0 WHERE id IN (5, 101)",
        "UPDATE @.key_changes SET id = id + 1000, a = 'x' WHERE id > 100",
        "UPDATE @.key_changes SET small = 'again'"}},
      {table("updated_then_moved"),
       {"UPDATE @.updated_then_moved SET a = " + large("'u' || id"),
        "UPDATE @.updated_then_moved SET id = id + 100",
        "UPDATE @.updated_then_moved SET b = " + large("'v' || id") + " WHERE id < 105",
        "UPDATE @.updated_then_moved SET id = id - 100, small = 'moved'"}},
      {table("moved_onto_deleted"),
       {"DELETE FROM @.moved_onto_deleted WHERE id = 1",
        "UPDATE @.moved_onto_deleted SET id = 1 WHERE id = 2",
        "UPDATE @.moved_onto_deleted SET n = 9 WHERE id = 1",
        "UPDATE @.moved_onto_deleted SET id = 2 WHERE id = 3",
        "INSERT INTO @.moved_onto_deleted VALUES (3, 'a', 'b', 'c', 3)"}},
      {table("swapped"),
       {"UPDATE @.swapped SET id = -1 WHERE id = 1", "UPDATE @.swapped SET id = 1 WHERE id = 2",
        "UPDATE @.swapped SET id = 2 WHERE id = -1", "UPDATE @.swapped SET n = n + 1"}},
      {table("chained"),
       {"UPDATE @.chained SET id = id - 1", "UPDATE @.chained SET id = id - 1, small = 'c'",
        "DELETE FROM @.chained WHERE id = 3", "UPDATE @.chained SET id = id - 1 WHERE id > 3"}},
      {table("moved_then_deleted"),
       {"UPDATE @.moved_then_deleted SET id = id + 100",
        "DELETE FROM @.moved_then_deleted WHERE id > 105",
        "INSERT INTO @.moved_then_deleted VALUES (1, NULL, NULL, " + large("1") + ", 1)",
        "UPDATE @.moved_then_deleted SET id = id + 100 WHERE id > 100"}},
      {table("inserted_then_moved"),
       {"INSERT INTO @.inserted_then_moved VALUES (50, " + large("50") + ", 's', " + large("51") +
            ", 1)",
        "UPDATE @.inserted_then_moved SET id = 51 WHERE id = 50",
        "UPDATE @.inserted_then_moved SET id = 52, b = 'b' WHERE id = 51",
        "UPDATE @.inserted_then_moved SET n = 2 WHERE id = 52"}},
      {table("truncated_then_inserted"),
       {"TRUNCATE @.truncated_then_inserted",
        "INSERT INTO @.truncated_then_inserted VALUES (1, " + large("'t'") + ", 's', NULL, 1)",
        "UPDATE @.truncated_then_inserted SET n = 2"}},
      {table("full_kept", full("full_kept")),
       {"UPDATE @.full_kept SET n = n + 1", "UPDATE @.full_kept SET id = id + 100 WHERE id < 4",
        "UPDATE @.full_kept SET a = 'x' WHERE id < 7", "DELETE FROM @.full_kept WHERE id = 9"}},
      // With all of the old row, its large values are what finds the row.
      {"CREATE TABLE @.full_keyless (a text, n integer, b text);" + full("full_keyless") +
           "INSERT INTO @.full_keyless SELECT " + large("k % 2") + ", k / 4, " + large("0") +
           " FROM generate_series(1, 9) k",
       {"UPDATE @.full_keyless SET n = n + 1 WHERE n = 1",
        "UPDATE @.full_keyless SET a = b WHERE n = 2 AND a <> b",
        "DELETE FROM @.full_keyless WHERE ctid = (SELECT min(ctid) FROM @.full_keyless)",
        "UPDATE @.full_keyless SET b = NULL, n = NULL"}},
      {table("identity_changes"),
       {"UPDATE @.identity_changes SET n = 1", full("identity_changes"),
        "UPDATE @.identity_changes SET id = id + 100",
        "ALTER TABLE @.identity_changes REPLICA IDENTITY DEFAULT",
        "UPDATE @.identity_changes SET id = id + 100, n = 2"}},
      // A part of the key that is itself kept out of line: 2.6 kB is as much as an index takes.
      {"CREATE TABLE @.large_key (k text, n integer, a text, PRIMARY KEY (k, n));"
       "ALTER TABLE @.large_key ALTER k SET STORAGE EXTERNAL;"
       "INSERT INTO @.large_key SELECT left(" +
           large("i") + ", 2600), i, " + large("i") + " FROM generate_series(1, 5) i",
       {"UPDATE @.large_key SET a = 'x' WHERE n = 1",
        "UPDATE @.large_key SET n = n + 100 WHERE n = 2",
        "UPDATE @.large_key SET k = reverse(k) WHERE n = 3", "DELETE FROM @.large_key WHERE n = 4",
        "UPDATE @.large_key SET n = 0 - n"}},
      {"CREATE TABLE @.large_bytes (id integer PRIMARY KEY, y bytea, j jsonb, l text[], n integer);"
       "ALTER TABLE @.large_bytes ALTER y SET STORAGE EXTERNAL;"
       "INSERT INTO @.large_bytes SELECT k, convert_to(" +
           large("k") + ", 'UTF8'), to_jsonb(" + large("k") + "), ARRAY[" + large("k") +
           ", NULL], 0 FROM generate_series(1, 4) k",
       {"UPDATE @.large_bytes SET n = 1",
        "UPDATE @.large_bytes SET id = -id, y = NULL WHERE id = 1",
        "UPDATE @.large_bytes SET id = id + 10, j = '{}' WHERE id IN (-1, 2)",
        "UPDATE @.large_bytes SET l = '{}' WHERE id > 2"}},
      // Values so large that a transaction travels in several portions.
      {"CREATE TABLE @.huge (id integer PRIMARY KEY, a text, n integer);"
       "ALTER TABLE @.huge ALTER a SET STORAGE EXTERNAL;"
       "INSERT INTO @.huge SELECT k, repeat(k::text, 3000000), 0 FROM generate_series(1, 2) k",
       {"INSERT INTO @.huge SELECT k, repeat(k::text, 3000000), 0 FROM generate_series(3, 5) k",
        "UPDATE @.huge SET n = 1", "UPDATE @.huge SET id = id + 10 WHERE id > 1",
        "INSERT INTO @.huge VALUES (3, repeat('x', 5000000), 0)",
        "UPDATE @.huge SET n = 2, id = id + 100 WHERE id IN (3, 11, 12)"}},
  };
  return all;
}

}  // namespace

TEST_CASE("a large value that an update leaves alone stays what it is") {
  MirrorScenarios mirror(scenarios());
  CHECK(mirror.run() == "");
}
