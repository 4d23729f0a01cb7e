#include <time.h>
#include <algorithm>
#include <charconv>
#include <map>
#include <stdexcept>
#include <tuple>
#include <variant>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "contender.hpp"
#include "demo/pg_session.hpp"
#include "source/postgres/pgoutput_decoder.hpp"

namespace headgate::bench {

namespace {

using source::postgres::BeginMessage;
using source::postgres::InsertMessage;
using source::postgres::PgoutputDecoder;
using source::postgres::RelationMessage;
using source::postgres::UpdateMessage;

constexpr const char* kSlot = "run_loop";
constexpr std::size_t kTransactionsPerCommit = 1000;  // as Headgate does when it is behind

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
struct FinishConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct CloseSqlite {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

// One value as it will be bound.
using Cell = std::variant<std::monostate, std::int64_t, std::string_view>;

struct LoopTable {
  std::string insert_sql;
  std::vector<bool> integers;     // by column
  std::vector<std::size_t> keys;  // columns; none: rows are only ever inserted
};

struct Write {
  std::size_t table;
  std::vector<Cell> row;
};

using Batch = std::vector<Write>;

bool is_integer(std::uint32_t type) {
  constexpr std::uint32_t kInt8 = 20;
  constexpr std::uint32_t kInt2 = 21;
  constexpr std::uint32_t kInt4 = 23;
  return type == kInt8 || type == kInt2 || type == kInt4;
}

LoopTable table_of(const RelationMessage& relation) {
  LoopTable table;
  std::string columns;
  std::string values;
  std::string keys;
  std::string updates;
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const auto& column = relation.columns[i];
    const std::string name = demo::quote_identifier(std::string(column.name));
    const std::string comma = i == 0 ? "" : ", ";
    columns += comma + name;
    values += comma + "?";
    updates += fmt::format("{}{} = excluded.{}", comma, name, name);
    if (column.identity) {
      keys += (keys.empty() ? "" : ", ") + name;
      table.keys.push_back(i);
    }
    table.integers.push_back(is_integer(column.type_oid));
  }
  table.insert_sql =
      fmt::format("INSERT INTO {} ({}) VALUES ({})",
                  demo::quote_identifier(std::string(relation.table)), columns, values);
  if (!keys.empty()) {
    table.insert_sql += fmt::format(" ON CONFLICT ({}) DO UPDATE SET {}", keys, updates);
  }
  return table;
}

// All changes behind a slot, as batches of writes. Its bytes must outlive them.
class Changes {
 public:
  explicit Changes(PreparedWorkload& prepared) {
    prepared.copy_slot(kSlot);
    fetch(prepared);
    prepared.drop_slot(kSlot);
    for (int row = 0; row < PQntuples(messages_.get()); ++row) {
      take({PQgetvalue(messages_.get(), row, 0),
            static_cast<std::size_t>(PQgetlength(messages_.get(), row, 0))});
    }
    end_batch();
  }

  const std::vector<LoopTable>& tables() const { return tables_; }
  const std::vector<Batch>& batches() const { return batches_; }

 private:
  void fetch(PreparedWorkload& prepared) {
    const std::string publications =
        demo::PgSession(prepared.source())
            .value("SELECT string_agg(quote_ident(pubname), ',') FROM pg_publication");
    const std::unique_ptr<PGconn, FinishConnection> connection(
        PQconnectdb(prepared.source().c_str()));
    const std::string sql = fmt::format(
        "SELECT data FROM pg_logical_slot_get_binary_changes('{}', NULL, NULL, 'proto_version', "
        "'1', 'publication_names', '{}')",
        kSlot, publications);
    constexpr int kBinary = 1;
    messages_.reset(PQexecParams(connection.get(), sql.c_str(), 0, nullptr, nullptr, nullptr,
                                 nullptr, kBinary));
    if (PQresultStatus(messages_.get()) != PGRES_TUPLES_OK) {
      throw std::runtime_error(PQerrorMessage(connection.get()));
    }
  }

  void take(std::string_view bytes) {
    const auto& message = decoder_.decode(bytes);
    if (std::holds_alternative<BeginMessage>(message)) {
      if (transactions_++ % kTransactionsPerCommit == 0) {
        end_batch();
      }
    } else if (const auto* relation = std::get_if<RelationMessage>(&message)) {
      if (!table_by_oid_.contains(relation->relation)) {
        table_by_oid_[relation->relation] = tables_.size();
        tables_.push_back(table_of(*relation));
      }
    } else if (const auto* insert = std::get_if<InsertMessage>(&message)) {
      add(insert->relation, insert->row);
    } else if (const auto* update = std::get_if<UpdateMessage>(&message)) {
      add(update->relation, update->row);
    }
  }

  void add(std::uint32_t relation, Row row) {
    const std::size_t number = table_by_oid_.at(relation);
    const LoopTable& table = tables_[number];
    Write write{number, {}};
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string_view text = row[i].bytes();
      std::int64_t integer = 0;
      if (row[i].is_null()) {
        write.row.emplace_back();
      } else if (table.integers[i]) {
        std::from_chars(text.data(), text.data() + text.size(), integer);
        write.row.emplace_back(integer);
      } else {
        write.row.emplace_back(text);
      }
    }
    if (table.keys.empty()) {
      open_batch_.push_back(std::move(write));
      return;
    }
    std::vector<Cell> key;
    for (const std::size_t column : table.keys) {
      key.push_back(write.row[column]);
    }
    last_[{number, std::move(key)}] = std::move(write);
  }

  void end_batch() {
    for (auto& [key, write] : last_) {
      open_batch_.push_back(std::move(write));
    }
    last_.clear();
    if (!open_batch_.empty()) {
      batches_.push_back(std::exchange(open_batch_, {}));
    }
  }

  std::unique_ptr<PGresult, ClearResult> messages_;
  PgoutputDecoder decoder_;
  std::size_t transactions_ = 0;
  std::map<std::uint32_t, std::size_t> table_by_oid_;
  std::vector<LoopTable> tables_;
  std::map<std::pair<std::size_t, std::vector<Cell>>, Write> last_;  // of the open batch, sorted
  Batch open_batch_;
  std::vector<Batch> batches_;
};

// Settings as in src/sink/sqlite.
class Writer {
 public:
  Writer(const std::string& path, const std::vector<LoopTable>& tables) {
    sqlite3* raw = nullptr;
    const int result = sqlite3_open(path.c_str(), &raw);
    database_.reset(raw);
    check(result);
    execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;"
        "PRAGMA wal_autocheckpoint = 20000; PRAGMA journal_size_limit = 268435456");
    for (const LoopTable& table : tables) {
      sqlite3_stmt* statement = nullptr;
      check(sqlite3_prepare_v2(raw, table.insert_sql.c_str(), -1, &statement, nullptr));
      statements_.emplace_back(statement);
    }
  }

  void write(const Batch& batch) {
    execute("BEGIN IMMEDIATE");
    for (const Write& write : batch) {
      sqlite3_stmt* statement = statements_[write.table].get();
      for (std::size_t i = 0; i < write.row.size(); ++i) {
        bind(statement, static_cast<int>(i) + 1, write.row[i]);
      }
      if (sqlite3_step(statement) != SQLITE_DONE) {
        check(sqlite3_reset(statement));
      }
      sqlite3_reset(statement);
    }
    execute("COMMIT");
  }

 private:
  static void bind(sqlite3_stmt* statement, int place, const Cell& cell) {
    if (const auto* integer = std::get_if<std::int64_t>(&cell)) {
      sqlite3_bind_int64(statement, place, *integer);
    } else if (const auto* text = std::get_if<std::string_view>(&cell)) {
      sqlite3_bind_text(statement, place, text->data(), static_cast<int>(text->size()),
                        SQLITE_STATIC);
    } else {
      sqlite3_bind_null(statement, place);
    }
  }
  void execute(const char* sql) {
    check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
  }
  void check(int result) {
    if (result != SQLITE_OK) {
      throw std::runtime_error(sqlite3_errmsg(database_.get()));
    }
  }

  std::unique_ptr<sqlite3, CloseSqlite> database_;
  std::vector<std::unique_ptr<sqlite3_stmt, CloseSqlite>> statements_;
};

double thread_cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

class LoopRun final : public Run {
 public:
  explicit LoopRun(PreparedWorkload& prepared)
      : prepared_(prepared), path_(prepared.stage().folder().path("loop.db")), changes_(prepared) {
    prepared.copy_sink_file(path_);
    writer_ = std::make_unique<Writer>(path_, changes_.tables());
  }

  // Returns when all is written.
  void start() override {
    const double before = thread_cpu_seconds();
    for (const Batch& batch : changes_.batches()) {
      writer_->write(batch);
    }
    cpu_seconds_ = thread_cpu_seconds() - before;
    done_ = true;
  }
  std::uint64_t applied() override { return done_ ? prepared_.target() + 1 : 0; }
  bool streaming() override { return true; }
  CpuShares cpu() override { return {{"loop", cpu_seconds_}}; }
  void stop() override { writer_.reset(); }
  std::string look(const std::string&, std::uint64_t) override { return {}; }
  Fingerprints found() override { return sqlite_fingerprints(path_, prepared_.tables()); }

 private:
  PreparedWorkload& prepared_;
  std::string path_;
  Changes changes_;
  std::unique_ptr<Writer> writer_;
  double cpu_seconds_ = 0;
  bool done_ = false;
};

class SqliteLoop final : public Contender {
 public:
  std::string name() const override { return "sqlite loop"; }
  std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const override {
    return std::make_unique<LoopRun>(prepared);
  }
};

}  // namespace

std::unique_ptr<Contender> sqlite_loop() {
  return std::make_unique<SqliteLoop>();
}

}  // namespace headgate::bench
