// Names of tables, columns and schemas that need quoting, that look like something else, or that
// are one to SQLite.

#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;

namespace {

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

const std::vector<std::string>& odd_names() {
  static const std::vector<std::string> names{
      // Words of SQL, and of our own statements.
      "select", "Table", "ORDER BY", "null", "default", "user", "excluded", "old", "new", "t", "u",
      "o", "c0", "public", "main", "temp", "pg_class", "sqlite", "position", "rowid", "oid",
      // Characters that end, escape or format something somewhere.
      "a.b", "a..b.", ".", "a \"quoted\" one", "it's", "back\\slash", "\\N", "100%", "%s%n%1$s",
      "{}", "{0}", "$1", "?1", ":name", "@x", "--", "/* x */", ";DROP", "`", "[x]", "x=y, z",
      "<b>&amp;", "tab\there", "new\nline", "\r", "\x01", " blanks ", "  ",
      // Beyond ASCII; those that differ by case are two to SQLite, too.
      "\u00fcn\u00efc\u00f6d\u00e9", "\u00dcN\u00cfC\u00d6D\u00c9", "\u4e2d\u6587\u8868",
      "\U0001F600 \u200d", "\u05d0\u05d1", "e\u0301",
      // As long as a name can be.
      repeated("n", 63), repeated("\u4e2d", 21), "1" + repeated("\u00e9", 31)};
  return names;
}

std::string table_named(const std::string& name) {
  return "public." + quote_identifier(name);
}

// A table with each of the odd names, and with a column of that name; one whose columns have all of
// them; one that finds its rows by all of them.
void create_tables(PgSession& source) {
  std::string columns;
  for (const std::string& name : odd_names()) {
    const std::string quoted = quote_identifier(name);
    const std::string table = table_named(name);
    source.execute("CREATE TABLE " + table + " (key_ integer, " + quoted + " text, n integer, " +
                   "PRIMARY KEY (key_)); ALTER TABLE " + table + " ALTER " + quoted +
                   " SET STORAGE EXTERNAL; INSERT INTO " + table +
                   " SELECT i, repeat(i::text, 4000), i FROM generate_series(1, 5) i");
    columns += (columns.empty() ? "" : ", ") + quoted + " text";
  }
  source.execute("CREATE TABLE public.columns (" + columns + ", PRIMARY KEY (" +
                 quote_identifier(odd_names().front()) + ", " +
                 quote_identifier(odd_names().back()) + "))");
  source.execute(
      "CREATE TABLE public.keyless (LIKE public.columns);"
      "ALTER TABLE public.keyless REPLICA IDENTITY FULL");
  for (const std::string table : {"public.columns", "public.keyless"}) {
    source.execute("INSERT INTO " + table + " (" + quote_identifier(odd_names().front()) + ", " +
                   quote_identifier(odd_names().back()) +
                   ") SELECT i, 'x' FROM generate_series(1, 5) i");
  }
}

void change_tables(PgSession& source) {
  for (const std::string& name : odd_names()) {
    const std::string table = table_named(name);
    const std::string quoted = quote_identifier(name);
    source.execute("INSERT INTO " + table + " VALUES (6, 'six', 6)");
    source.execute("UPDATE " + table + " SET n = n + 1 WHERE key_ < 3");
    source.execute("UPDATE " + table + " SET key_ = key_ + 10 WHERE key_ = 2");
    source.execute("UPDATE " + table + " SET " + quoted + " = 'changed' WHERE key_ IN (3, 6)");
    source.execute("DELETE FROM " + table + " WHERE key_ = 4");
    const bool in_key = name == odd_names().front() || name == odd_names().back();
    for (const std::string wide : {"public.columns", "public.keyless"}) {
      source.execute("UPDATE " + wide + " SET " + quoted + (in_key ? " = " + quoted : " = 'v'") +
                     " WHERE " + quote_identifier(odd_names().front()) + " IN ('1', '2')");
    }
  }
  for (const std::string wide : {"public.columns", "public.keyless"}) {
    const std::string key = quote_identifier(odd_names().front());
    source.execute("UPDATE " + wide + " SET " + key + " = 'moved' || " + key);
    source.execute("DELETE FROM " + wide + " WHERE " + key + " = 'moved2'");
  }
}

// A pipeline of `patterns` from `setup`'s source into a new SQLite file.
struct FileOnly {
  std::string path;
  Daemon daemon;

  FileOnly(MirrorSetup& setup, const std::string& name, std::vector<std::string> patterns)
      : path(setup.folder().path(name + ".db")),
        daemon(setup.folder(), config(setup, name, path, std::move(patterns)), name) {}

  static PipelineConfig config(MirrorSetup& setup, const std::string& name, const std::string& path,
                               std::vector<std::string> patterns) {
    PipelineConfig config;
    config.pipeline = name;
    config.source_dsn = setup.source().conninfo();
    config.tables = std::move(patterns);
    config.sinks = {sqlite_sink("file", path)};
    return config;
  }
};

}  // namespace

TEST_CASE("a name may be anything that PostgreSQL allows") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  create_tables(source);
  setup.daemon().start();
  setup.daemon().wait_ready();
  change_tables(source);
  setup.catch_up();
  std::vector<std::string> tables{"public.columns", "public.keyless"};
  std::transform(odd_names().begin(), odd_names().end(), std::back_inserter(tables),
                 [](const std::string& name) { return "public." + name; });
  CHECK(setup.differences(tables) == "");
}

TEST_CASE("equal names in several schemas are several tables in every sink") {
  MirrorSetup setup({"*.*"});
  PgSession source(setup.source().conninfo());
  std::vector<std::string> tables;
  for (const std::string schema : {"public", "a", "Odd Schema", "sch\u00e9\"ma", "select", "%s"}) {
    const std::string table = quote_identifier(schema) + ".items";
    source.execute("CREATE SCHEMA IF NOT EXISTS " + quote_identifier(schema) + ";CREATE TABLE " +
                   table + " (id integer PRIMARY KEY, v text);INSERT INTO " + table +
                   " VALUES (1, " + quote_literal(schema) + ")");
    tables.push_back(schema + ".items");
  }
  setup.daemon().start();
  setup.daemon().wait_ready();
  for (const std::string& table : tables) {
    const std::string schema = table.substr(0, table.find('.'));
    source.execute("UPDATE " + quote_identifier(schema) + ".items SET v = v || '!'; INSERT INTO " +
                   quote_identifier(schema) + ".items VALUES (2, 'second')");
  }
  source.execute("TRUNCATE \"Odd Schema\".items");
  setup.catch_up();
  CHECK(setup.differences(tables) == "");
  CHECK(SqliteFile(setup.sqlite_path()).value("SELECT v FROM \"sch\u00e9\"\"ma.items\"") ==
        "sch\u00e9\"ma!");
}

TEST_CASE("tables and columns that would be one in SQLite are refused, and nothing is merged") {
  MirrorSetup setup({});
  PgSession source(setup.source().conninfo());
  struct Collision {
    std::string name;
    std::string sql;
    std::vector<std::string> patterns;
    std::vector<std::string> said;
  };
  const std::vector<Collision> collisions{
      {"by_case",
       "CREATE TABLE public.items (id integer PRIMARY KEY);"
       "CREATE TABLE public.\"Items\" (id integer PRIMARY KEY)",
       {"public.items", "public.Items"},
       {"items", "Items", "upper and lower case"}},
      {"by_schema_case",
       "CREATE SCHEMA app; CREATE SCHEMA \"App\"; CREATE TABLE app.log (id integer PRIMARY KEY);"
       "CREATE TABLE \"App\".log (id integer PRIMARY KEY)",
       {"app.log", "App.log"},
       {"app.log", "App.log", "upper and lower case"}},
      {"by_dot",
       "CREATE TABLE public.\"app.log\" (id integer PRIMARY KEY)",
       {"app.log", "public.app*log"},
       {"tables app.log and public.app.log of the source would both be app.log"}},
      {"by_dots",
       "CREATE SCHEMA \"a.b\"; CREATE SCHEMA a; CREATE TABLE \"a.b\".c (id integer PRIMARY KEY);"
       "CREATE TABLE a.\"b.c\" (id integer PRIMARY KEY)",
       {"a*b.c", "a.b*c"},
       {"tables a.b.c and a.b.c of the source would both be a.b.c"}},
      {"by_default_schema",
       "CREATE SCHEMA dbo; CREATE TABLE dbo.things (id integer PRIMARY KEY);"
       "CREATE TABLE public.things (id integer PRIMARY KEY)",
       {"dbo.things", "public.things"},
       {"tables dbo.things and public.things of the source would both be things"}},
      {"by_columns",
       "CREATE TABLE public.cased (id integer PRIMARY KEY, \"Name\" text, name text)",
       {"public.cased"},
       {"cased", "name", "upper and lower case"}},
      {"by_prefix",
       "CREATE TABLE public.\"SQLite_things\" (id integer PRIMARY KEY)",
       {"public.SQLite_things"},
       {"SQLite_things", "reserved"}},
  };
  for (const Collision& collision : collisions) {
    INFO(collision.name);
    source.execute(collision.sql);
    FileOnly pipeline(setup, collision.name, collision.patterns);
    // `check` says so before anything is begun.
    const RunResult checked = pipeline.daemon.command({"check"});
    INFO(checked.out);
    CHECK(checked.status->code == kExitOperator);
    CHECK(checked.out.find("SQLite") != std::string::npos);
    pipeline.daemon.start();
    CHECK(pipeline.daemon.wait_exit().code == kExitOperator);
    const std::string log = pipeline.daemon.log();
    INFO(log);
    for (const std::string& word : collision.said) {
      INFO(word);
      CHECK(log.find(word) != std::string::npos);
    }
    CHECK(SqliteFile(pipeline.path)
              .value("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
                     "'headgate%'") == "0");
  }
}

// The user's own publication may bring a table at any time.
TEST_CASE("a new table whose name differs by case from one in SQLite is not written into it") {
  MirrorSetup setup({});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, v text);"
      "INSERT INTO public.items VALUES (1, 'one');"
      "CREATE PUBLICATION headgate_grows FOR ALL TABLES WITH (publish_via_partition_root = true)");
  FileOnly pipeline(setup, "grows", {"public.*"});
  pipeline.daemon.start();
  pipeline.daemon.wait_ready();
  CHECK(pipeline.daemon.terminate().ok());
  source.execute(
      "CREATE TABLE public.\"Items\" (id integer PRIMARY KEY, v text);"
      "INSERT INTO public.\"Items\" VALUES (1, 'another'), (2, 'second')");
  pipeline.daemon.start();
  CHECK_FALSE(pipeline.daemon.wait_exit().ok());
  CHECK(SqliteFile(pipeline.path).query("SELECT id, v FROM items") == TextRows{{"1", "one"}});
}
