// Which row an update or a delete means: every replica identity, every sort of key change, tables
// without a key, by copy and stream, into both sinks.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "mirror_scenarios.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;

namespace {

// Identities with a key that the sink can use.
const std::vector<Scenario>& keyed_scenarios() {
  static const std::vector<Scenario> scenarios{
      {"CREATE TABLE @.key_in_other_order (a integer, v text, b text, PRIMARY KEY (b, a));"
       "INSERT INTO @.key_in_other_order SELECT i % 10, 'v' || i, 'b' || i / 10 "
       "FROM generate_series(0, 49) i",
       {"UPDATE @.key_in_other_order SET v = 'new' WHERE a = 3",
        "UPDATE @.key_in_other_order SET a = a + 100 WHERE b = 'b1'",
        "UPDATE @.key_in_other_order SET b = 'c', v = NULL WHERE b = 'b2'",
        "DELETE FROM @.key_in_other_order WHERE b = 'b3' OR a = 4",
        "INSERT INTO @.key_in_other_order VALUES (4, 'again', 'b0'), (0, 'x', 'b3')"}},
      {"CREATE TABLE @.by_index (y integer NOT NULL, id integer PRIMARY KEY, v text, "
       "  x integer NOT NULL, w text);"
       "CREATE UNIQUE INDEX by_index_xy ON @.by_index (x, y) INCLUDE (v);"
       "ALTER TABLE @.by_index REPLICA IDENTITY USING INDEX by_index_xy;"
       "INSERT INTO @.by_index SELECT i % 7, i, 'v' || i, i, NULL FROM generate_series(0, 49) i",
       {"UPDATE @.by_index SET v = 'new' WHERE id < 10",
        "UPDATE @.by_index SET id = id + 1000 WHERE id < 5",  // the primary key is no identity here
        "UPDATE @.by_index SET x = -x WHERE id BETWEEN 10 AND 20",
        "UPDATE @.by_index SET y = y + 1, w = 'w' WHERE id BETWEEN 15 AND 30",
        "DELETE FROM @.by_index WHERE id BETWEEN 25 AND 40",
        "INSERT INTO @.by_index VALUES (0, 26, 'again', 26, '')"}},
      // Two rows of one key of the sink's would be one there: the index that identifies is wider.
      {"CREATE TABLE @.by_wider_index (id integer NOT NULL, part integer NOT NULL, v text);"
       "CREATE UNIQUE INDEX by_wider ON @.by_wider_index (id, part);"
       "CREATE UNIQUE INDEX narrower ON @.by_wider_index (part) WHERE v = 'never';"
       "ALTER TABLE @.by_wider_index REPLICA IDENTITY USING INDEX by_wider;"
       "INSERT INTO @.by_wider_index VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')",
       {"UPDATE @.by_wider_index SET part = 3 WHERE id = 1 AND part = 1",
        "UPDATE @.by_wider_index SET v = 'x' WHERE id = 1",
        "DELETE FROM @.by_wider_index WHERE id = 1 AND part = 2"}},
      {"CREATE TABLE @.full_with_key (id integer PRIMARY KEY, v text, n numeric);"
       "ALTER TABLE @.full_with_key REPLICA IDENTITY FULL;"
       "INSERT INTO @.full_with_key SELECT i, 'v', NULL FROM generate_series(1, 20) i",
       {"UPDATE @.full_with_key SET v = 'new', n = 1.10 WHERE id < 5",
        "UPDATE @.full_with_key SET id = id + 100 WHERE id < 8",
        "DELETE FROM @.full_with_key WHERE id > 104 OR id = 20",
        "UPDATE @.full_with_key SET n = NULL, v = NULL"}},
      {"CREATE TABLE @.only_key (a integer, b text, PRIMARY KEY (a, b));"
       "INSERT INTO @.only_key VALUES (1, 'x'), (2, 'y'), (3, '')",
       {"UPDATE @.only_key SET a = a", "UPDATE @.only_key SET b = b || 'z'",
        "DELETE FROM @.only_key WHERE a = 2", "INSERT INTO @.only_key VALUES (2, 'yz'), (2, 'y')"}},
      // An identity of another sort, given while rows flow.
      {"CREATE TABLE @.changes_identity (id integer PRIMARY KEY, u integer NOT NULL, v text);"
       "INSERT INTO @.changes_identity SELECT i, i, 'v' FROM generate_series(1, 20) i",
       {"UPDATE @.changes_identity SET v = 'a' WHERE id < 4",
        "ALTER TABLE @.changes_identity REPLICA IDENTITY FULL",
        "UPDATE @.changes_identity SET id = id + 100, v = 'b' WHERE id < 8",
        "ALTER TABLE @.changes_identity REPLICA IDENTITY DEFAULT",
        "UPDATE @.changes_identity SET id = id + 1000, v = 'c' WHERE id BETWEEN 6 AND 12",
        "DELETE FROM @.changes_identity WHERE id % 3 = 0"}},
  };
  return scenarios;
}

// Every way in which keys can change places.
const std::vector<Scenario>& key_change_scenarios() {
  const auto table = [](const std::string& name) {
    return "CREATE TABLE @." + name + " (id integer PRIMARY KEY, v text);INSERT INTO @." + name +
           " SELECT i, 'v' || i FROM generate_series(1, 9) i";
  };
  static const std::vector<Scenario> scenarios{
      {table("swap"),
       {"UPDATE @.swap SET id = -1 WHERE id = 1", "UPDATE @.swap SET id = 1 WHERE id = 2",
        "UPDATE @.swap SET id = 2 WHERE id = -1"}},
      {table("swap_and_back"),
       {"UPDATE @.swap_and_back SET id = -id WHERE id < 3",
        "UPDATE @.swap_and_back SET id = 3 + id WHERE id < 0",
        "UPDATE @.swap_and_back SET id = -id WHERE id < 3",
        "UPDATE @.swap_and_back SET id = 3 + id WHERE id < 0"}},
      {table("chain"),
       {"UPDATE @.chain SET id = 10 WHERE id = 9", "UPDATE @.chain SET id = 9 WHERE id = 8",
        "UPDATE @.chain SET id = 8 WHERE id = 7",
        "UPDATE @.chain SET id = 7, v = 'moved' WHERE id = 6"}},
      // One statement whose rows follow each other, since they lie in that order.
      {table("chain_at_once"),
       {"UPDATE @.chain_at_once SET id = id - 1", "UPDATE @.chain_at_once SET id = 100 - id, v = v",
        "UPDATE @.chain_at_once SET id = -id"}},
      {table("onto_deleted"),
       {"DELETE FROM @.onto_deleted WHERE id = 1", "UPDATE @.onto_deleted SET id = 1 WHERE id = 2",
        "DELETE FROM @.onto_deleted WHERE id = 1", "UPDATE @.onto_deleted SET id = 1 WHERE id = 3",
        "INSERT INTO @.onto_deleted VALUES (3, 'third')"}},
      {table("moved_then_deleted"),
       {"UPDATE @.moved_then_deleted SET id = id + 100 WHERE id < 4",
        "DELETE FROM @.moved_then_deleted WHERE id IN (101, 102)",
        "INSERT INTO @.moved_then_deleted VALUES (1, 'new'), (101, 'new')"}},
      {table("inserted_then_moved"),
       {"INSERT INTO @.inserted_then_moved VALUES (50, 'a')",
        "UPDATE @.inserted_then_moved SET id = 51 WHERE id = 50",
        "UPDATE @.inserted_then_moved SET id = 52, v = 'b' WHERE id = 51",
        "UPDATE @.inserted_then_moved SET id = 50 WHERE id = 52",
        "INSERT INTO @.inserted_then_moved VALUES (51, 'c')"}},
      {table("there_and_back"),
       {"UPDATE @.there_and_back SET id = 100 WHERE id = 1",
        "UPDATE @.there_and_back SET v = 'away' WHERE id = 100",
        "UPDATE @.there_and_back SET id = 1 WHERE id = 100"}},
      {table("key_to_itself"),
       {"UPDATE @.key_to_itself SET id = id",
        "UPDATE @.key_to_itself SET id = id, v = 'x' WHERE id = 1"}},
      {"CREATE TABLE @.part_of_key (a text, b integer, v text, PRIMARY KEY (a, b));"
       "INSERT INTO @.part_of_key VALUES ('x', 1, '1'), ('x', 2, '2'), ('y', 1, '3')",
       {"UPDATE @.part_of_key SET a = 'z' WHERE b = 2",
        "UPDATE @.part_of_key SET b = 2 WHERE a = 'x'",
        "UPDATE @.part_of_key SET a = 'x', b = 1 WHERE a = 'y'"}},
      // Keys that are equal to SQL, but not the same bytes, and the other way round.
      {"CREATE TABLE @.numeric_key (id numeric PRIMARY KEY, v text);"
       "INSERT INTO @.numeric_key VALUES (1.0, 'a'), (2, 'b'), ('NaN', 'c'), (0, 'd')",
       {"UPDATE @.numeric_key SET id = 1.00 WHERE id = 1",
        "UPDATE @.numeric_key SET v = 'x' WHERE id = 1",
        "UPDATE @.numeric_key SET id = 2.000, v = 'y' WHERE id = 2",
        "UPDATE @.numeric_key SET v = 'z' WHERE id = 'NaN'",
        "DELETE FROM @.numeric_key WHERE id = 2.0",
        "INSERT INTO @.numeric_key VALUES (2.00, 'again')"}},
      {"CREATE TABLE @.float_key (id double precision PRIMARY KEY, v text);"
       "INSERT INTO @.float_key VALUES ('-0', 'a'), (1e300, 'b'), ('NaN', 'c'), ('-Infinity', 'd')",
       {"UPDATE @.float_key SET id = 0 WHERE id = 0", "UPDATE @.float_key SET v = 'x'",
        "UPDATE @.float_key SET id = '-0' WHERE id = 0",
        "DELETE FROM @.float_key WHERE id = 'NaN'"}},
      {"CREATE TABLE @.char_key (id character(4), n integer, v text, PRIMARY KEY (id, n));"
       "INSERT INTO @.char_key VALUES ('a', 1, 'a'), ('b', 1, 'b')",
       {"UPDATE @.char_key SET v = 'x' WHERE id = 'a'",
        "UPDATE @.char_key SET id = 'c' WHERE id = 'b'", "DELETE FROM @.char_key WHERE id = 'a'"}},
      {"CREATE TABLE @.time_key (t timestamptz, d interval, v text, PRIMARY KEY (t, d));"
       "INSERT INTO @.time_key VALUES ('2026-03-29 03:30+02', '1 day', 'a'), ('infinity', '0', "
       "'b')",
       // 24 hours and a day are equal, and print differently.
       {"UPDATE @.time_key SET d = '24:00:00' WHERE v = 'a'", "UPDATE @.time_key SET v = v || v",
        "UPDATE @.time_key SET t = t + interval '1 hour' WHERE v = 'aa'",
        "DELETE FROM @.time_key WHERE t = 'infinity'"}},
  };
  return scenarios;
}

// Tables whose rows are told apart by all of their columns.
const std::vector<Scenario>& full_scenarios() {
  const auto full = [](const std::string& name) {
    return "ALTER TABLE @." + name + " REPLICA IDENTITY FULL;";
  };
  // Deletes and changes exactly one of the rows that fulfil `condition`.
  const auto delete_one = [](const std::string& name, const std::string& condition) {
    return "DELETE FROM @." + name + " WHERE ctid = (SELECT min(ctid) FROM @." + name + " WHERE " +
           condition + ")";
  };
  const auto update_one = [](const std::string& name, const std::string& set,
                             const std::string& condition) {
    return "UPDATE @." + name + " SET " + set + " WHERE ctid = (SELECT min(ctid) FROM @." + name +
           " WHERE " + condition + ")";
  };
  static const std::vector<Scenario> scenarios{
      {"CREATE TABLE @.duplicates (a integer, b text);" + full("duplicates") +
           "INSERT INTO @.duplicates VALUES (1, 'x'), (1, 'x'), (1, 'x'), (1, NULL), (1, NULL), "
           "(NULL, NULL), (NULL, NULL)",
       {delete_one("duplicates", "a = 1 AND b = 'x'"),
        update_one("duplicates", "b = 'y'", "a = 1 AND b = 'x'"),
        update_one("duplicates", "b = ''", "a = 1 AND b IS NULL"),
        delete_one("duplicates", "a IS NULL"), "INSERT INTO @.duplicates VALUES (1, 'x'), (1, 'x')",
        update_one("duplicates", "a = a", "b = 'x'"),
        "UPDATE @.duplicates SET b = 'all' WHERE b = 'x'",
        "DELETE FROM @.duplicates WHERE b = 'all'"}},
      // No equality at all, or one that takes different values for equal.
      {"CREATE TABLE @.odd_equality (id integer, j json, x xml, p point, b box, c circle, "
       "  n numeric, f double precision, i interval, z timetz, h character(4), q path, y polygon, "
       "  js json[], jb jsonb, t text);" +
           full("odd_equality") +
           "INSERT INTO @.odd_equality VALUES "
           "(1, '{\"a\": 1}', '<a/>', '(1,2)', '(1,1),(0,0)', '<(0,0),1>', 1.0, '-0', '1 day', "
           "'12:00+00', 'a', '((0,0),(1,1))', '((0,0),(1,1))', '{1}', '1.0', 'a'), "
           "(1, '{\"a\":1}', '<a />', '(2,1)', '(2,1),(1,0)', '<(1,0),1>', 1.00, '0', '24:00:00', "
           "'13:00+01', 'a', '((0,0),(2,1))', '((0,0),(2,1))', '{2}', '1.00', 'a'), "
           "(1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
           "NULL, "
           "NULL)",
       {update_one("odd_equality", "t = 'first'", "n = 1 AND f::text = '-0'"),
        update_one("odd_equality", "t = 'second'", "n::text = '1.00'"),
        update_one("odd_equality", "t = 'third'", "n IS NULL"),
        "INSERT INTO @.odd_equality SELECT * FROM @.odd_equality",
        delete_one("odd_equality", "t = 'second'"), delete_one("odd_equality", "t = 'third'")}},
      // One column each, so that nothing else tells the rows apart.
      {"CREATE TABLE @.equal_numbers (n numeric);" + full("equal_numbers") +
           "INSERT INTO @.equal_numbers VALUES (1), (1.0), (1.00), (1.000)",
       {delete_one("equal_numbers", "n::text = '1.00'"),
        update_one("equal_numbers", "n = 2", "n::text = '1.0'"),
        delete_one("equal_numbers", "n::text = '1'")}},
      {"CREATE TABLE @.equal_floats (f real);" + full("equal_floats") +
           "INSERT INTO @.equal_floats VALUES ('-0'), ('0'), ('NaN'), ('NaN')",
       {delete_one("equal_floats", "f::text = '0'"), delete_one("equal_floats", "f = 'NaN'"),
        update_one("equal_floats", "f = 7", "f::text = '-0'")}},
      {"CREATE TABLE @.equal_shapes (b box, c circle);" + full("equal_shapes") +
           "INSERT INTO @.equal_shapes VALUES ('(1,1),(0,0)', '<(0,0),1>'), "
           "('(2,1),(1,0)', '<(5,0),1>')",
       {delete_one("equal_shapes", "c::text LIKE '%(5,0)%'"),
        update_one("equal_shapes", "b = '(3,3),(0,0)'", "c::text LIKE '%(0,0)%'")}},
      {"CREATE TABLE @.equal_intervals (i interval);" + full("equal_intervals") +
           "INSERT INTO @.equal_intervals VALUES ('30 days'), ('1 mon'), ('720:00:00')",
       {delete_one("equal_intervals", "i::text = '1 mon'"),
        update_one("equal_intervals", "i = '1 s'", "i::text = '30 days'")}},
      {"CREATE TABLE @.equal_objects (j json, k xml);" + full("equal_objects") +
           "INSERT INTO @.equal_objects VALUES ('[1, 2]', '<a></a>'), ('[1,2]', '<a/>'), "
           "('[1,2]', '<a/>')",
       {delete_one("equal_objects", "j::text = '[1,2]'"),
        update_one("equal_objects", "k = NULL", "j::text = '[1, 2]'"),
        update_one("equal_objects", "j = NULL", "k IS NULL")}},
      // A primary key that is checked at the commit identifies no row.
      {"CREATE TABLE @.deferred_key (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v "
       "text);" +
           full("deferred_key") +
           "INSERT INTO @.deferred_key SELECT i, CASE WHEN i % 2 = 0 THEN 'same' END "
           "FROM generate_series(1, 9) i",
       {"UPDATE @.deferred_key SET id = id + 1", "UPDATE @.deferred_key SET id = 10 - id",
        "UPDATE @.deferred_key SET id = CASE id WHEN 1 THEN 2 ELSE 1 END WHERE id IN (1, 2)",
        "DELETE FROM @.deferred_key WHERE id > 5"}},
      {"CREATE TABLE @.one_boolean (b boolean);" + full("one_boolean") +
           "INSERT INTO @.one_boolean VALUES (true), (false), (NULL), (NULL), (true)",
       {update_one("one_boolean", "b = NOT b", "b"), delete_one("one_boolean", "b IS NULL"),
        "UPDATE @.one_boolean SET b = true WHERE b IS NULL", "DELETE FROM @.one_boolean WHERE b"}},
  };
  return scenarios;
}

}  // namespace

TEST_CASE("a row is found by its identity, whichever sort that is") {
  MirrorScenarios scenarios(keyed_scenarios());
  CHECK(scenarios.run() == "");
}

TEST_CASE("keys may change places in every way") {
  MirrorScenarios scenarios(key_change_scenarios());
  CHECK(scenarios.run() == "");
}

TEST_CASE("without a key, exactly one of the rows that equal the old one is changed") {
  MirrorScenarios scenarios(full_scenarios());
  CHECK(scenarios.run() == "");
}
