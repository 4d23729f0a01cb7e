// The contract suite on a PostgreSQL server, behind a network that can fail.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

#include "db/pq/connection.hpp"
#include "demo/throwaway_cluster.hpp"
#include "sink/postgres/postgres_sink.hpp"
#include "sql_table.hpp"
#include "support/tcp_gate.hpp"

namespace headgate::sink_contract {
namespace {

using test::CutKind;
using test::Moment;
using test::Strike;
using test::TcpGate;
using test::Way;
using namespace std::string_literals;

constexpr const char* kDatabase = "contract";

// The end of a query of PostgreSQL's protocol, behind the position; and a whole message of it:
// type, length, text.
const std::string kCommit = "; COMMIT\0"s;
const std::string kCommitDone = "C\0\0\0\x0b"s + "COMMIT\0"s;

demo::ThrowawayCluster& cluster() {
  static demo::ThrowawayCluster instance([] {
    demo::ClusterOptions options;
    options.fsync = false;
    options.tcp = true;
    return options;
  }());
  return instance;
}

pq::ConnectOptions options_for(const std::string& database) {
  pq::ConnectOptions options;
  options.conninfo = cluster().conninfo(database);
  options.role = "test";
  options.settings = pq::text_format_settings();
  return options;
}

// One database for all cases, since making one costs more than most cases do.
const std::string& database() {
  static const std::string made = [] {
    pq::Connection(options_for("postgres"))
        .exec("CREATE DATABASE "s + kDatabase, "create a database");
    return std::string(kDatabase);
  }();
  return made;
}

std::string table_name(const TableName& name) {
  return quoted(name.schema) + "." + quoted(name.table);
}

const SqlDialect& dialect() {
  static const SqlDialect postgres{
      .name_of = table_name,
      .type_of = [](const Column& column) { return column.native_type; },
      .unique_suffix = "DEFERRABLE",
      .reference_suffix = "DEFERRABLE",
      .table_suffix = ""};
  return postgres;
}

class PostgresSinkUnderTest final : public SinkUnderTest {
 public:
  PostgresSinkUnderTest() : reader_(options_for(database())), gate_(cluster().port()) {
    reader_.exec(
        "DO $$ DECLARE name text; BEGIN "
        "FOR name IN SELECT nspname FROM pg_namespace "
        "WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LOOP "
        "EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP; END $$; "
        "CREATE SCHEMA public",
        "empty the database");
  }

  bool has(Feature feature) const override {
    switch (feature) {
      case Feature::kKeylessChanges:
      case Feature::kCaseSensitiveNames:
        return true;
    }
    return true;
  }

  std::unique_ptr<SinkDriver> make_driver() override { return make({}); }
  std::unique_ptr<SinkDriver> make_lazy_driver() override {
    return make(" options='-c synchronous_commit=off'");
  }

  void wait_until_free() override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto held = [&] {
      return reader_
          .exec(
              "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database "
              "WHERE locktype = 'advisory' AND datname = current_database())",
              "look for the session lock")
          .boolean(0, 0);
    };
    while (held()) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw std::runtime_error("a session never ends");
      }
    }
  }

  Strings rows(const SinkConfig& table) override {
    Strings found;
    if (!has_table(table)) {
      return found;
    }
    const pq::Result result = reader_.exec(
        fmt::format("SELECT {} FROM {}",
                    column_list(table, [](const Column& column) { return quoted(column.name); }),
                    table_name(table.output.name)),
        "query");
    for (int row = 0; row < result.rows(); ++row) {
      std::string text;
      for (int column = 0; column < result.columns(); ++column) {
        text += column == 0 ? "" : "|";
        text += result.is_null(row, column) ? "~" : result.value(row, column);
      }
      found.push_back(std::move(text));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  bool has_table(const SinkConfig& table) override {
    return reader_
        .exec("SELECT to_regclass($1) IS NOT NULL", {table_name(table.output.name)}, "query")
        .boolean(0, 0);
  }

  std::optional<SinkPosition> position_row() override {
    const bool there =
        reader_.exec("SELECT to_regclass('public.headgate_positions') IS NOT NULL", "query")
            .boolean(0, 0);
    if (!there) {
      return std::nullopt;
    }
    const pq::Result row =
        reader_.exec("SELECT position, history, epoch FROM public.headgate_positions", "query");
    if (row.rows() == 0) {
      return std::nullopt;
    }
    SinkPosition found;
    if (!row.is_null(0, 0)) {
      found.position = {LSN::parse(row.value(0, 0)), {row.text(0, 1)}};
    }
    found.epoch = static_cast<std::uint64_t>(row.integer(0, 2));
    return found;
  }

  void create_table(const SinkConfig& table, const TableRules& rules) override {
    reader_.exec(fmt::format("CREATE SCHEMA IF NOT EXISTS {}; {}", quoted(table.output.name.schema),
                             create_table_sql(dialect(), table, rules)),
                 "create a table");
  }
  void drop_table(const SinkConfig& table) override {
    reader_.exec("DROP TABLE IF EXISTS " + table_name(table.output.name), "drop a table");
  }
  void add_row(const SinkConfig& table, const Strings& values) override {
    reader_.exec(fmt::format("INSERT INTO {} VALUES ('{}')", table_name(table.output.name),
                             fmt::join(values, "', '")),
                 "insert");
  }

  bool raise_epoch() override {
    try {
      reader_.exec(
          "SET lock_timeout = '50ms'; UPDATE public.headgate_positions SET epoch = epoch + 1",
          "raise the epoch");
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kTransient) {
        throw;
      }
      return false;
    }
  }
  void set_position(const Position& position) override {
    reader_.exec("UPDATE public.headgate_positions SET position = nullif($1, ''), history = $2",
                 {position.lsn.to_hex(), position.history.text}, "move the position");
  }
  void delete_position_row() override {
    reader_.exec("DELETE FROM public.headgate_positions", "delete the position");
  }
  void raise_epoch_with_rows_of(const SinkConfig& table) override {
    reader_.exec(
        fmt::format("CREATE FUNCTION public.take_over() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN UPDATE public.headgate_positions SET epoch = epoch + 1; "
                    "RETURN NULL; END $$; "
                    "CREATE TRIGGER take_over AFTER INSERT ON {} "
                    "FOR EACH ROW EXECUTE FUNCTION public.take_over()",
                    table_name(table.output.name)),
        "make a trigger");
  }

  void refuse_positions(bool refuse) override {
    reader_.exec(
        refuse ? "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                 "$$ BEGIN RAISE EXCEPTION 'refused'; END $$; "
                 "CREATE TRIGGER refuse BEFORE UPDATE OF position ON public.headgate_positions "
                 "FOR EACH ROW EXECUTE FUNCTION public.refuse()"
               : "DROP FUNCTION public.refuse CASCADE",
        "make a trigger");
  }
  bool cut_connections() override {
    gate_.cut(CutKind::kReset);
    return true;
  }
  bool lose_commit_reply(bool done) override {
    if (done) {
      gate_.strike_at(Way::kToClient, kCommitDone, Moment::kBefore, Strike::kReset);
    } else {
      gate_.strike_at(Way::kToServer, kCommit, Moment::kBefore, Strike::kReset);
    }
    return true;
  }
  void heal() override { gate_.heal(); }

 private:
  std::unique_ptr<SinkDriver> make(const std::string& settings) const {
    sink::postgres::Options options;
    options.pipeline = "shop";
    options.name = "business";
    options.conninfo = fmt::format("host=127.0.0.1 port={} dbname={} user=postgres{}", gate_.port(),
                                   database(), settings);
    return std::make_unique<sink::postgres::PostgresSink>(
        options, std::make_shared<spdlog::logger>("quiet"));
  }

  pq::Connection reader_;
  TcpGate gate_;
};

}  // namespace

std::unique_ptr<SinkUnderTest> make_sink_under_test() {
  return std::make_unique<PostgresSinkUnderTest>();
}

}  // namespace headgate::sink_contract
