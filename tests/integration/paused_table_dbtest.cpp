// `isolation: table` with a real source and both sinks: what a sink's own views forbid to alter
// holds its table alone, until somebody has mended it and asked for a fresh copy.

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// Never stops: transaction n inserts row n into both tables, and changes an earlier one of each.
class Writer {
 public:
  explicit Writer(const std::string& conninfo)
      : thread_([this, conninfo](const std::stop_token& stop) {
          PgSession session(conninfo);
          for (std::uint64_t n = 1; !stop.stop_requested(); ++n) {
            session.execute(
                fmt::format("BEGIN; INSERT INTO shop.items VALUES ({0}, '{0}', 'new');"
                            "INSERT INTO shop.other VALUES ({0}, 'new');"
                            "UPDATE shop.items SET t = 'seen by {0}' WHERE id = {1};"
                            "UPDATE shop.other SET t = 'seen by {0}' WHERE id = {1}; COMMIT",
                            n, n / 2));
            done_ = n;
          }
        }) {}

  void run_for(std::uint64_t transactions) const {
    const std::uint64_t until = done_ + transactions;
    while (done_ < until) {
      std::this_thread::yield();
    }
  }

  void stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  std::atomic<std::uint64_t> done_ = 0;
  std::jthread thread_;
};

std::size_t count(const std::string& text, const std::string& words) {
  std::size_t found = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    ++found;
  }
  return found;
}

class Isolated : public MirrorSetup {
 public:
  Isolated()
      : MirrorSetup({"shop.*"}, {.more = "isolation: table\nsnapshot: { chunk_rows: 50 }\n"}) {
    PgSession(source().conninfo())
        .execute(
            "CREATE SCHEMA shop;"
            "CREATE TABLE shop.items (id integer PRIMARY KEY, amount integer, t text);"
            "CREATE TABLE shop.other (id integer PRIMARY KEY, t text)");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void wait_for_log(const std::string& words, std::size_t times) {
    daemon().wait_until(fmt::format("the log to say {} times: {}", times, words), 60s,
                        [&] { return count(daemon().log(), words) >= times; });
  }

  // As soon as no other copy runs.
  void copy_items() {
    daemon().wait_until("a copy to be accepted", 60s, [&] {
      return daemon().command({"snapshot", "start", "shop.items"}).ok();
    });
  }

  // All that each sink has in `items`. Rows 1 to n without a gap, where it is the state that one
  // commit has left.
  std::string items() {
    const std::string postgres =
        PgSession(sink().conninfo())
            .value(
                "SELECT concat_ws(' ', count(*), max(id), md5(string_agg(id || t, ',' "
                "ORDER BY id))) FROM shop.items");
    const std::string sqlite =
        SqliteFile(sqlite_path())
            .value(
                "SELECT count(*) || ' ' || max(id) || ' ' || group_concat(id || t) FROM "
                "(SELECT * FROM \"shop.items\" ORDER BY id)");
    return postgres + " | " + sqlite;
  }
};

}  // namespace

TEST_CASE("a table that a sink's views hold fast pauses alone, until it is mended and copied") {
  Isolated setup;
  Daemon& daemon = setup.daemon();
  PgSession(setup.sink().conninfo())
      .execute("CREATE VIEW shop.report AS SELECT amount FROM shop.items");
  SqliteFile(setup.sqlite_path())
      .execute("CREATE VIEW report AS SELECT amount FROM \"shop.items\"");
  Writer writer(setup.source().conninfo());
  writer.run_for(100);
  PgSession(setup.source().conninfo())
      .execute("ALTER TABLE shop.items ALTER COLUMN amount TYPE text");
  setup.wait_for_log("table paused alone", 2);

  // Everything else goes on, and a reader of the table sees what one commit has left.
  writer.run_for(100);
  setup.catch_up();
  const std::string stays = setup.items();
  const auto is_whole = [](const std::string& table) {
    return PgSession(table).value("SELECT count(*) = max(id) FROM shop.items");
  };
  CHECK(is_whole(setup.sink().conninfo()) == "t");
  CHECK(SqliteFile(setup.sqlite_path()).value("SELECT count(*) = max(id) FROM \"shop.items\"") ==
        "1");
  CHECK(daemon.ready());
  const std::string told = daemon.command({"status"}).out;
  INFO(told);
  CHECK(count(told, "table shop.items paused since ") == 2);
  CHECK(count(told, "column amount changed from integer to text") == 2);
  CHECK(count(told, "then run `headgate snapshot start shop.items`") == 2);
  CHECK(count(told, "streaming") == 2);
  CHECK(count(told, "headgate_tables") == 0);
  CHECK(count(daemon.command({"tables"}).out, "\n  paused since ") == 2);

  // Over a crash, too.
  daemon.kill9();
  daemon.start();
  daemon.wait_ready();
  writer.run_for(100);
  setup.catch_up();
  setup.wait_for_log("table is paused", 2);
  CHECK(setup.items() == stays);

  // Nobody has mended it yet: that copy is refused, and nothing else happens.
  setup.copy_items();
  setup.wait_for_log("fresh copy refused", 2);
  writer.run_for(100);
  setup.catch_up();
  CHECK(setup.items() == stays);
  CHECK(count(daemon.command({"status"}).out, "the last copy was refused: ") == 2);

  // In the one sink the table is altered, in the other one it is dropped.
  PgSession(setup.sink().conninfo())
      .execute("DROP VIEW shop.report; ALTER TABLE shop.items ALTER COLUMN amount TYPE text");
  SqliteFile(setup.sqlite_path()).execute("DROP VIEW report; DROP TABLE \"shop.items\"");
  setup.copy_items();
  setup.wait_for_log("paused=no", 2);
  writer.run_for(100);
  daemon.kill9();
  daemon.start();
  daemon.wait_ready();
  writer.run_for(100);
  writer.stop();
  setup.catch_up();
  CHECK(setup.differences({"shop.items", "shop.other"}) == "");
  CHECK(count(daemon.command({"status"}).out, "paused since") == 0);
  CHECK(count(daemon.log(), "table is paused") == 2);
  CHECK(daemon.terminate().ok());
}

// The rows that are there are another table's, and stay until the copy takes their place.
TEST_CASE("a table that was dropped and created anew pauses alone, until it is copied") {
  Isolated setup;
  PgSession source(setup.source().conninfo());
  source.execute("INSERT INTO shop.items VALUES (1, 1, 'old'), (2, 2, 'old')");
  setup.catch_up();
  source.execute(
      "DROP TABLE shop.items; CREATE TABLE shop.items (id integer PRIMARY KEY, u text);"
      "ALTER PUBLICATION headgate_test ADD TABLE shop.items;"
      "INSERT INTO shop.items VALUES (1, 'new'); INSERT INTO shop.other VALUES (1, 'on')");
  setup.wait_for_log("table paused alone", 2);
  setup.catch_up();
  CHECK(setup.differences({"shop.other"}) == "");
  CHECK(PgSession(setup.sink().conninfo()).value("SELECT count(*) FROM shop.items") == "2");
  PgSession(setup.sink().conninfo())
      .execute("ALTER TABLE shop.items DROP COLUMN t, DROP COLUMN amount, ADD COLUMN u text");
  SqliteFile(setup.sqlite_path()).execute("DROP TABLE \"shop.items\"");
  setup.copy_items();
  setup.wait_for_log("paused=no", 2);
  source.execute("INSERT INTO shop.items VALUES (2, 'newer')");
  setup.catch_up();
  CHECK(setup.differences({"shop.items", "shop.other"}) == "");
  CHECK(PgSession(setup.sink().conninfo())
            .value("SELECT count(*) FROM headgate_tables WHERE source = 'shop.items'") == "1");
  CHECK(setup.daemon().terminate().ok());
}
