// The contract suite on a SQLite file.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <sqlite3.h>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "power_cut_vfs.hpp"
#include "sink/sqlite/sqlite_sink.hpp"
#include "sink/sqlite/type_map.hpp"
#include "sql_table.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink_contract {
namespace {

using db::sqlite::Connection;
using db::sqlite::Statement;
using sink::sqlite::SqliteSink;
namespace sqlite_test = sink::sqlite::test;

// As every sink should print it: see SinkUnderTest::rows().
std::string printed(const Column& column) {
  const std::string name = quoted(column.name);
  switch (column.family) {
    case TypeFamily::kBytes:
      return fmt::format("CASE WHEN {0} IS NULL THEN NULL ELSE '\\x' || lower(hex({0})) END", name);
    case TypeFamily::kBoolean:
      return fmt::format("CASE {} WHEN 1 THEN 't' WHEN 0 THEN 'f' END", name);
    default:
      return fmt::format("CAST({} AS TEXT)", name);
  }
}

const SqlDialect& dialect() {
  static const SqlDialect sqlite{
      .name_of = [](const TableName& name) { return quoted(name.table); },
      .type_of =
          [](const Column& column) {
            return std::string(sink::sqlite::declared_type(column.family));
          },
      .unique_suffix = "",
      .reference_suffix = "ON DELETE CASCADE",  // must not act: the sink leaves them to the source
      .table_suffix = "STRICT"};
  return sqlite;
}

class SqliteSinkUnderTest final : public SinkUnderTest {
 public:
  bool has(Feature feature) const override {
    // To SQLite, `Orders` and `orders` are one name.
    return feature != Feature::kCaseSensitiveNames;
  }

  std::unique_ptr<SinkDriver> make_driver() override {
    return std::make_unique<SqliteSink>(
        sink::sqlite::Options{"shop", "business", path()}, clock_,
        std::make_shared<spdlog::logger>("quiet"),
        sink::sqlite::Tuning{.busy_timeout = std::chrono::milliseconds(20)});
  }
  // There is no other kind.
  std::unique_ptr<SinkDriver> make_lazy_driver() override { return make_driver(); }

  Strings rows(const SinkConfig& table) override {
    Strings found;
    if (!has_table(table)) {
      return found;
    }
    Statement query(reader(),
                    fmt::format("SELECT {} FROM {}", column_list(table, printed),
                                dialect().name_of(table.output.name)),
                    "query");
    db::sqlite::Rows rows = query.rows();
    while (rows.next()) {
      std::string row;
      for (std::size_t i = 0; i < table.output.columns.size(); ++i) {
        const int column = static_cast<int>(i);
        row += i == 0 ? "" : "|";
        row += rows.is_null(column) ? "~" : rows.text(column);
      }
      found.push_back(std::move(row));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  bool has_table(const SinkConfig& table) override { return exists(table.output.name.table); }

  std::optional<SinkPosition> position_row() override {
    if (!std::filesystem::exists(path()) || !exists("headgate_positions")) {
      return std::nullopt;
    }
    Statement query(reader(), "SELECT position, history, epoch FROM headgate_positions", "query");
    db::sqlite::Rows rows = query.rows();
    if (!rows.next()) {
      return std::nullopt;
    }
    SinkPosition found;
    if (!rows.is_null(0)) {
      found.position = {LSN::parse(rows.text(0)), {std::string(rows.text(1))}};
    }
    found.epoch = static_cast<std::uint64_t>(rows.integer(2));
    return found;
  }

  void create_table(const SinkConfig& table, const TableRules& rules) override {
    reader().execute(create_table_sql(dialect(), table, rules));
  }
  void drop_table(const SinkConfig& table) override {
    reader().execute("DROP TABLE IF EXISTS " + dialect().name_of(table.output.name));
  }
  void add_row(const SinkConfig& table, const Strings& values) override {
    reader().execute(fmt::format("INSERT INTO {} VALUES ('{}')",
                                 dialect().name_of(table.output.name), fmt::join(values, "', '")));
  }

  bool raise_epoch() override {
    try {
      reader().execute("UPDATE headgate_positions SET epoch = epoch + 1");
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kTransient) {
        throw;
      }
      return false;
    }
  }
  void set_position(const Position& position) override {
    reader().execute(
        fmt::format("UPDATE headgate_positions SET position = NULLIF('{}', ''), history = '{}'",
                    position.lsn.to_hex(), position.history.text));
  }
  void delete_position_row() override { reader().execute("DELETE FROM headgate_positions"); }
  void raise_epoch_with_rows_of(const SinkConfig& table) override {
    reader().execute(
        fmt::format("CREATE TRIGGER takeover AFTER INSERT ON {} BEGIN "
                    "UPDATE headgate_positions SET epoch = epoch + 1; END",
                    dialect().name_of(table.output.name)));
  }

  void refuse_positions(bool refuse) override {
    reader().execute(refuse ? "CREATE TRIGGER refuse BEFORE UPDATE OF position ON "
                              "headgate_positions BEGIN SELECT RAISE(ABORT, 'refused'); END"
                            : "DROP TRIGGER refuse");
  }
  // A file has no connection. What becomes of it when the disk fails is in sqlite_durability_test.
  bool cut_connections() override { return false; }
  bool lose_commit_reply(bool done) override {
    if (done) {
      return false;  // COMMIT is a function call: whoever lives to see the end of it has its answer
    }
    vfs_.fail_wal_writes(SQLITE_IOERR_WRITE);
    return true;
  }
  void heal() override { vfs_.fail_wal_writes(SQLITE_OK); }

 private:
  std::string path() const { return folder_.file("sink.db"); }

  bool exists(const std::string& table) {
    Statement query(reader(), "SELECT 1 FROM sqlite_schema WHERE name = ?1", "query");
    query.bind_text(1, table);
    return query.rows().next();
  }

  Connection& reader() {
    if (!reader_) {
      reader_.emplace(path(),
                      db::sqlite::OpenOptions{.busy_timeout = std::chrono::milliseconds(20)});
    }
    return *reader_;
  }

  sqlite_test::PowerCutVfs vfs_;  // every connection goes through it
  sqlite_test::Folder folder_;
  sqlite_test::StillClock clock_;
  std::optional<Connection> reader_;
};

}  // namespace

std::unique_ptr<SinkUnderTest> make_sink_under_test() {
  return std::make_unique<SqliteSinkUnderTest>();
}

}  // namespace headgate::sink_contract
