// A throw-away PostgreSQL, a sink on it, and operations for it, in few words.

#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/transaction.hpp"
#include "db/pq/connection.hpp"
#include "demo/throwaway_cluster.hpp"
#include "pipeline/sink_driver.hpp"
#include "sink/postgres/postgres_sink.hpp"

namespace headgate::test {

// A column of the tables below: name, type as PostgreSQL prints it, its OID.
struct ColumnSpec {
  std::string name;
  std::string type = "integer";
  std::uint32_t oid = 23;
};

SinkConfigPtr make_table(const std::string& name, std::vector<ColumnSpec> columns,
                         std::vector<std::size_t> key);

// NULL, unchanged, or text.
struct Cell {
  Value value;
  Cell(const char* text) : value(Value::text(text)) {}  // NOLINT: rows read better without names
  Cell(Value other) : value(other) {}                   // NOLINT
};

// Operations in order; owns their rows.
class Batch {
 public:
  Batch() = default;
  Batch(const Batch&) = delete;  // the operations point at the rows
  Batch& operator=(const Batch&) = delete;

  Batch& insert(const SinkConfigPtr& table, std::vector<Cell> row);
  Batch& update(const SinkConfigPtr& table, std::vector<Cell> row, std::vector<Cell> before = {});
  Batch& erase(const SinkConfigPtr& table, std::vector<Cell> row);
  Batch& truncate(const SinkConfigPtr& table);

  const std::vector<Sink>& operations() const { return operations_; }
  const std::vector<SinkConfigPtr>& tables() const { return tables_; }

 private:
  Batch& add(const SinkConfigPtr& table, Operation operation, const std::vector<Cell>& row,
             const std::vector<Cell>& before);
  Row keep(const std::vector<Cell>& cells);

  std::deque<std::vector<Value>> rows_;
  std::vector<Sink> operations_;
  std::vector<SinkConfigPtr> tables_;
};

// One cluster for all cases of the program; each fixture has a database of its own.
class PostgresFixture {
 public:
  PostgresFixture();

  std::unique_ptr<sink::postgres::PostgresSink> make_sink(const std::string& settings = {}) const;

  // begin, prepare, write, commit.
  static void apply(SinkDriver& sink, const Batch& batch, std::uint64_t lsn);
  static void write(SinkDriver& sink, const Batch& batch);

  void execute(const std::string& sql);
  // All rows, columns joined by `|`, NULL as `-`, rows by a space.
  std::string rows(const std::string& select);

  static demo::ThrowawayCluster& cluster();
  std::string conninfo() const { return cluster().conninfo(database_); }

 private:
  std::string database_;
  std::unique_ptr<pq::Connection> reader_;
};

Position position_at(std::uint64_t lsn);

// connect() after another session of the pipeline was closed: the server needs a moment to notice,
// and holds its lock until then.
SinkPosition connect_when_free(SinkDriver& sink);

// What the call throws; fails the test when it throws nothing.
template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("expected an error, there was none");
}

}  // namespace headgate::test
